import type { Scenario } from '../scenario.ts';
import { authKilled } from './f1-auth-killed.ts';
import { authKilledAt } from './f1-auth-killed-at.ts';
import { notifyKilled } from './f2-notify-killed.ts';
import { brokerKilled } from './f3-broker-killed.ts';
import { brokerAwayLong } from './f4-broker-away-long.ts';
import { databaseKilled } from './f7-database-killed.ts';
import { databaseSilent } from './f8-database-silent.ts';
import { brokerPowerCut } from './f5-broker-power-cut.ts';
import { databasePowerCut } from './f6-database-power-cut.ts';
import { brokerStopped } from './f9-broker-stopped.ts';
import { leaderStopped } from './f10-leader-stopped.ts';
import { diskFull } from './f11-disk-full.ts';
import { lateCommits } from './f12-late-commits.ts';
import { slowReader } from './f13-slow-reader.ts';
import { halfOpen } from './f14-half-open.ts';
import { crowdedNode } from './f15-crowded-node.ts';
import { brokerCluster } from './f16-broker-cluster.ts';
import { slowClients } from './f17-slow-clients.ts';
import { wrongClocks } from './f18-wrong-clocks.ts';
import { badNetwork } from './f19-bad-network.ts';
import { rollingReleases } from './f20-rolling-releases.ts';

/** Every scenario there is. A new one is a file beside these and a line here. */
export const scenarios: readonly Scenario[] = [
  authKilled,
  authKilledAt,
  notifyKilled,
  brokerKilled,
  brokerAwayLong,
  brokerPowerCut,
  databasePowerCut,
  databaseKilled,
  databaseSilent,
  brokerStopped,
  leaderStopped,
  diskFull,
  lateCommits,
  slowReader,
  halfOpen,
  crowdedNode,
  brokerCluster,
  slowClients,
  wrongClocks,
  badNetwork,
  rollingReleases,
];
