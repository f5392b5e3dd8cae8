import type { BenchScenario } from '../scenario.ts';
import { brokerAway } from './broker-away.ts';
import { commitToFrame } from './commit-to-frame.ts';
import { fanOut } from './fan-out.ts';
import { growthSockets } from './growth-sockets.ts';
import { growthUsers } from './growth-users.ts';
import { handshakes } from './handshakes.ts';
import { login } from './login.ts';
import { idleSockets } from './idle-sockets.ts';
import { loginLoad } from './login-load.ts';
import { loginTiming } from './login-timing.ts';
import { manySockets } from './many-sockets.ts';
import { networkCut } from './network-cut.ts';
import { refresh } from './refresh.ts';
import { refreshRaces } from './refresh-races.ts';
import { relayDrain } from './relay-drain.ts';
import { register } from './register.ts';
import { revocation } from './revocation.ts';
import { tokens } from './tokens.ts';
import { userInterest } from './user-interest.ts';

/** Every scenario there is. A new one is a file beside these and a line here. */
export const scenarios: readonly BenchScenario[] = [
  commitToFrame,
  revocation,
  refresh,
  refreshRaces,
  login,
  register,
  tokens,
  loginLoad,
  loginTiming,
  handshakes,
  fanOut,
  idleSockets,
  manySockets,
  networkCut,
  growthUsers,
  growthSockets,
  userInterest,
  relayDrain,
  brokerAway,
];
