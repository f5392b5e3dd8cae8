// If this breaks, a manifest is refused by the cluster, kills services before they have drained, scales by a metric that does
// not exist, or lets a container do what it need not.
import { PROJECT_ROOT } from '@infrasignal/local-stack';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { settings as authSettings } from '../../services/auth-service/src/config.ts';
import { settings as notifySettings } from '../../services/notify-service/src/config.ts';

const FOLDER = join(PROJECT_ROOT, 'deploy/kubernetes');
const load = createRequire(import.meta.url);

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: unknown;
}

interface Container {
  readonly env?: readonly { name: string; value?: string }[];
  readonly securityContext: object;
  readonly livenessProbe?: object;
  readonly readinessProbe?: object;
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: object;
  readonly containers: readonly [Container];
}

interface DeploymentManifest extends Manifest {
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

const { resources } = parse(readFileSync(join(FOLDER, 'kustomization.yaml'), 'utf8')) as { resources: string[] };
const manifests = resources.flatMap((file) =>
  parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => document.toJS() as Manifest),
);
const deployments = manifests.filter(({ kind }) => kind === 'Deployment') as DeploymentManifest[];

t.test('every manifest is what the published schemas of Kubernetes say', async (t) => {
  for (const manifest of manifests) {
    const { apiVersion, kind, metadata } = manifest;
    const models = load(`kubernetes-models/${apiVersion}/${kind}`) as Record<string, new (data: unknown) => { validate(): void }>;
    const Model = models[kind]!;
    t.doesNotThrow(() => new Model(manifest).validate(), `${kind} ${metadata.name}`);
    const broken = { ...manifest, metadata: { ...metadata, labels: 7 } };
    t.throws(() => new Model(broken).validate(), 'and a wrong one is noticed');
  }
});

t.test('kustomize finds every file, and every file is found', async (t) => {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.yaml'));
  const besides = ['kustomization.yaml', 'prometheus-adapter.yaml'];
  t.same(files.filter((file) => !besides.includes(file)).sort(), [...resources].sort());
});

t.test('each deployment has probes, a budget, a grace period that fits, and no rights', async (t) => {
  for (const { metadata, spec } of deployments) {
    const pod = spec.template.spec;
    const [container] = pod.containers;
    t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }, metadata.name);
    const rights = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };
    t.match(container.securityContext, rights);
    t.ok(container.livenessProbe !== undefined && container.readinessProbe !== undefined);
    t.ok(manifests.some((other) => other.kind === 'PodDisruptionBudget' && other.metadata.name === metadata.name));
    t.ok(manifests.some((other) => other.kind === 'NetworkPolicy' && other.metadata.name === metadata.name));
    const grace = Number(container.env?.find(({ name }) => name === 'SHUTDOWN_GRACE_SECONDS')?.value ?? 0);
    const needed = grace + container.lifecycle.preStop.sleep.seconds;
    t.ok(pod.terminationGracePeriodSeconds > needed, `${pod.terminationGracePeriodSeconds} s > ${needed} s`);
  }
});

t.test('settings exist, secrets come from files, and autoscalers go by metrics that are published', async (t) => {
  const shared = Object.keys(manifests.find(({ kind }) => kind === 'ConfigMap')?.data ?? {});
  const tables = { 'auth-service': authSettings, 'notify-service': notifySettings };
  for (const [service, settings] of Object.entries(tables)) {
    const known = new Map(Object.values(settings).map(({ name, isSecret }) => [name, isSecret]));
    const container = deployments.find(({ metadata }) => metadata.name === service)!.spec.template.spec.containers[0];
    for (const { name, value } of container.env ?? []) {
      const setting = name.endsWith('_FILE') ? name.replace(/_FILE$/, '') : name;
      t.ok(known.has(setting), `${service}: ${name}`);
      if (known.get(setting) === true) t.match(value, /^\/run\/secrets\//);
    }
  }
  const all = new Set([...Object.values(authSettings), ...Object.values(notifySettings)].map(({ name }) => name));
  t.same(shared.filter((name) => !all.has(name)), []);
  const documented = readFileSync(join(PROJECT_ROOT, 'docs/metrics.md'), 'utf8');
  const scalers = manifests.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
  t.equal(scalers.length, 2);
  for (const [, name = ''] of JSON.stringify(scalers).matchAll(/"metric":\{"name":"([^"]+)"/g)) {
    t.match(documented, `\`${name.replace(/_mean$/, '')}\``, name);
    t.match(readFileSync(join(FOLDER, 'prometheus-adapter.yaml'), 'utf8'), name.replace(/_mean$/, ''));
  }
});
