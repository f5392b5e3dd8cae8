import type { ServiceCommand } from './command.ts';

/** `infrasignal rotate-keys` */
export const rotateKeys: ServiceCommand = {
  name: 'rotate-keys',
  usage: '',
  summary: 'Lets a new key sign access tokens from now on. Tokens of the one before verify until they expire.',
  examples: ['infrasignal rotate-keys'],
  run: async ({ features: { keyRing } }) => {
    const before = keyRing.published()[0]?.kid;
    await keyRing.rotate();
    const keys = keyRing.published().map(({ kid }) => kid);
    const [kid] = keys;
    return {
      data: { signing: kid, before, published: keys },
      lines: [`Signing with ${kid ?? '?'}.`, `Published: ${keys.join(', ')}.`, 'Instances follow within 5 seconds.'],
    };
  },
};
