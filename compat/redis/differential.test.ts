/** Random commands, against us and against a real Redis: what differential.slow.test.ts does for long. */
import { describeSessions } from './differential.testing.ts'

describeSessions({ sessions: 25, length: 40 })
