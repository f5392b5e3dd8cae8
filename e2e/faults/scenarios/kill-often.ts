import { setTimeout as sleep } from 'node:timers/promises';
import { pick, type Random } from '../random.ts';
import type { Victim } from '../victim.ts';

export interface KillPlan {
  readonly kills: number;
  readonly random: Random;
  readonly progress: (line: string) => void;
  /** The longest a process lives between being ready and its next kill; the moment is random. */
  readonly upMsMax: number;
  /** The longest it stays down before it is started again. */
  readonly downMsMax: number;
}

/** How often all of them are killed at the same moment instead of one. */
const ALL_AT_ONCE_SHARE = 0.15;

/** How often the next kill does not wait until the ones killed before are ready again. */
const OVERLAP_SHARE = 0.15;

/** Kills processes at random moments, so many times in all, and returns when the last one is ready again. */
export async function killOften(victims: readonly Victim[], plan: KillPlan): Promise<void> {
  const { kills, random, progress, upMsMax, downMsMax } = plan;
  const starting = new Set<Promise<void>>();
  const restart = async (victim: Victim): Promise<void> => {
    await sleep(random() * downMsMax);
    await victim.start();
  };
  for (let done = 0; done < kills; ) {
    if (random() >= OVERLAP_SHARE || !victims.some(({ isUp }) => isUp)) await Promise.all(starting);
    await sleep(random() * upMsMax);
    const up = victims.filter(({ isUp }) => isUp);
    const chosen = random() < ALL_AT_ONCE_SHARE ? up.slice(0, kills - done) : [pick(random, up)];
    for (const victim of chosen) {
      await victim.kill();
      done += 1;
      const started = restart(victim).finally(() => starting.delete(started));
      started.catch(() => undefined); // it is awaited below, and must not end the process until then
      starting.add(started);
    }
    if (done % 5 === 0) progress(`${done} of ${kills} kills`);
  }
  await Promise.all(starting);
}
