/** Random commands, against us and against a real Redis: the long run. */
import { describeSessions } from './differential.testing.ts'

describeSessions({ sessions: Number(process.env.DOTDO_DIFFERENTIAL_RUNS ?? 2000), length: 60 })
