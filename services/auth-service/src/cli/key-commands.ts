import type { ServiceCommand } from './command.ts';

/** `infrasignal rotate-keys` */
export const rotateKeys: ServiceCommand = {
  name: 'rotate-keys',
  usage: '[--forget-former]',
  summary: 'Lets a new key sign access tokens from now on. Tokens of the one before verify until they expire.',
  details: [
    '  --forget-former   the former keys leaked: remove them at once. Clients refresh and go on; until they do, their',
    '                    access tokens are refused. notify-service forgets a key within five minutes, or by a restart.',
  ],
  examples: ['infrasignal rotate-keys', 'infrasignal rotate-keys --forget-former'],
  options: { 'forget-former': { type: 'boolean' } },
  run: async ({ features: { keyRing } }, { options }) => {
    const before = keyRing.published()[0]?.kid;
    await keyRing.rotate();
    if (options['forget-former'] === true) await keyRing.forgetFormer();
    const keys = keyRing.published().map(({ kid }) => kid);
    const [kid] = keys;
    return {
      data: { signing: kid, before, published: keys },
      lines: [`Signing with ${kid ?? '?'}.`, `Published: ${keys.join(', ')}.`, 'Instances follow within 5 seconds.'],
    };
  },
};
