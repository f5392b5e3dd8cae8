import { DockerfileParser, type Copy, type From, type Instruction, type JSONInstruction } from 'dockerfile-ast';
import type { PropertyInstruction } from 'dockerfile-ast/lib/propertyInstruction.js';

/** What an image says about how it is run. */
export interface ImageConfig {
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly user: string;
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string;
}

/** One step that makes files. Variables are filled in. */
export type Step =
  | { readonly kind: 'run'; readonly script: string; readonly workdir: string; readonly env: Record<string, string> }
  | { readonly kind: 'copy'; readonly from: string | null; readonly sources: string[]; readonly target: string; readonly workdir: string };

export interface Stage {
  readonly name: string | null;
  readonly base: string;
  readonly steps: readonly Step[];
  readonly config: ImageConfig;
}

/** The stages of a Dockerfile, in order. @throws Error on an instruction that is not understood here */
export function readStages(content: string): Stage[] {
  const globals: Record<string, string> = {};
  const stages: StageReader[] = [];
  for (const instruction of DockerfileParser.parse(content).getInstructions()) {
    const stage = stages.at(-1);
    if (instruction.getKeyword() === 'FROM') {
      const from = instruction as From;
      stages.push(new StageReader(from.getBuildStage(), fill(from.getImage() ?? '', globals)));
    } else if (stage === undefined) {
      Object.assign(globals, propertiesOf(instruction));
    } else {
      stage.read(instruction);
    }
  }
  return stages;
}

class StageReader implements Stage {
  readonly name: string | null;
  readonly base: string;
  readonly steps: Step[] = [];
  readonly #args: Record<string, string> = {};
  #config: ImageConfig = { workdir: '/', env: {}, labels: {}, user: '', command: [], healthcheck: [], stopSignal: 'SIGTERM' };

  constructor(name: string | null, base: string) {
    this.name = name;
    this.base = base;
  }

  get config(): ImageConfig {
    return this.#config;
  }

  read(instruction: Instruction): void {
    const { workdir, env, labels } = this.#config;
    const text = instruction.getArgumentsContent() ?? '';
    const keyword = instruction.getKeyword();
    if (keyword === 'RUN') this.steps.push({ kind: 'run', script: text, workdir, env: { ...env, ...this.#args } });
    else if (keyword === 'COPY') this.steps.push(this.#toCopy(instruction as Copy));
    else if (keyword === 'ARG') Object.assign(this.#args, propertiesOf(instruction));
    else if (keyword === 'ENV') this.#set({ env: { ...env, ...this.#fillAll(propertiesOf(instruction)) } });
    else if (keyword === 'LABEL') this.#set({ labels: { ...labels, ...this.#fillAll(propertiesOf(instruction)) } });
    else if (keyword === 'WORKDIR') this.#set({ workdir: text });
    else if (keyword === 'USER') this.#set({ user: text });
    else if (keyword === 'STOPSIGNAL') this.#set({ stopSignal: text });
    else if (keyword === 'CMD') this.#set({ command: (instruction as JSONInstruction).getJSONStrings().map((part) => part.getJSONValue()) });
    else if (keyword === 'HEALTHCHECK') this.#set({ healthcheck: JSON.parse(text.slice(text.indexOf('['))) as string[] });
    else if (keyword !== 'EXPOSE') throw new Error(`${keyword} is not understood here`);
  }

  #set(changes: Partial<ImageConfig>): void {
    this.#config = { ...this.#config, ...changes };
  }

  #toCopy(copy: Copy): Step {
    const paths = copy.getArguments().map((argument) => argument.getValue());
    const target = paths.pop() ?? '';
    return { kind: 'copy', from: copy.getFromFlag()?.getValue() ?? null, sources: paths, target, workdir: this.#config.workdir };
  }

  #fillAll(values: Record<string, string>): Record<string, string> {
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, fill(value, this.#args)]));
  }
}

function propertiesOf(instruction: Instruction): Record<string, string> {
  const properties = (instruction as PropertyInstruction).getProperties();
  return Object.fromEntries(properties.map((property) => [property.getName(), property.getValue() ?? '']));
}

/** `${NAME}`, the one form that these files use. */
function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (_match, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for ${name}`);
    return value;
  });
}
