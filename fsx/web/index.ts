/** What doors over HTTP need of a filesystem besides its calls. */
export { isDirectory } from '../engine/mode.ts'
export { type Errno, errnoOf } from '../errors.ts'
export {
  type Change,
  type Check,
  checkEmpty,
  checkExpectation,
  type Expectation,
  etagOf,
  type Term,
  type TermList,
} from './guard.ts'
export { pathAbove, refuseWeb, type WebDetail, type WebLock } from './locks.ts'
export type { Placed } from './place.ts'
export { PROPERTY_PREFIX, type Surveyed } from './survey.ts'
