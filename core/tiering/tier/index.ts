/** Tiering: hot rows into Iceberg tables, and back. docs/lake.md tells how. */
export { type TierJobs, type TierJobTools, tierJobs } from './jobs.ts'
export { parseDuration, parsePolicy, parseSize } from './policy.ts'
export * from './port.ts'
export { type Positions, readPositions, samePosition } from './positions.ts'
export { type TierCalls, tierProgram } from './program.ts'
