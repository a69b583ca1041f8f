/** Whether a table is as a commit requires it.
 *  @source the REST catalog's OpenAPI, TableRequirement */
import { Failure } from '../../errors.ts'
import { findRef, type TableMetadata } from './metadata.ts'
import type { Requirement } from './update.ts'

/** What kind of conflict it was: `requirement` means that another commit came first; rebase and try again. */
export interface ConflictDetail {
  readonly reason: 'requirement' | 'stale'
}

/** Make the failure of a commit that another one came before. */
export function requirementFailed(message: string, cause?: unknown): Failure {
  return new Failure('conflict', message, { reason: 'requirement' } satisfies ConflictDetail, cause)
}

/** Make the failure of a change whose files are not as they were when it was made: it has to be made anew. */
export function staleChange(message: string): Failure {
  return new Failure('conflict', message, { reason: 'stale' } satisfies ConflictDetail)
}

/** Whether a commit failed because another one came first, so that the same change may be tried on the new state. */
export function isRequirementConflict(error: unknown): boolean {
  if (!(error instanceof Failure) || error.code !== 'conflict') return false
  return (error.detail as Partial<ConflictDetail> | undefined)?.reason === 'requirement'
}

/** Whether a change was overtaken, so that it has to be made anew. */
export function isStaleChange(error: unknown): boolean {
  if (!(error instanceof Failure) || error.code !== 'conflict') return false
  return (error.detail as Partial<ConflictDetail> | undefined)?.reason === 'stale'
}

/** Check requirements.
 *  @param metadata undefined when there is no table
 *  @throws conflict for the first that does not hold */
export function checkRequirements(metadata: TableMetadata | undefined, requirements: readonly Requirement[]): void {
  for (const requirement of requirements) {
    if (requirement.type === 'assert-create') {
      if (metadata !== undefined) throw requirementFailed('the table exists already')
    } else if (metadata === undefined) {
      throw requirementFailed(`${requirement.type}: there is no table`)
    } else checkOne(metadata, requirement)
  }
}

const counters = {
  'assert-last-assigned-field-id': ['last-column-id', 'last-assigned-field-id'],
  'assert-current-schema-id': ['current-schema-id', 'current-schema-id'],
  'assert-last-assigned-partition-id': ['last-partition-id', 'last-assigned-partition-id'],
  'assert-default-spec-id': ['default-spec-id', 'default-spec-id'],
  'assert-default-sort-order-id': ['default-sort-order-id', 'default-sort-order-id'],
} as const

function checkOne(metadata: TableMetadata, requirement: Exclude<Requirement, { type: 'assert-create' }>): void {
  switch (requirement.type) {
    case 'assert-table-uuid':
      if (metadata['table-uuid'] === requirement.uuid) return
      throw requirementFailed(`the table is ${metadata['table-uuid']}, not ${requirement.uuid}`)
    case 'assert-ref-snapshot-id': {
      const now = findRef(metadata, requirement.ref)?.['snapshot-id'] ?? null
      if (now === requirement['snapshot-id']) return
      throw requirementFailed(`${requirement.ref} is at snapshot ${now}, not ${requirement['snapshot-id']}`)
    }
    default: {
      const names = counters[requirement.type]
      if (names === undefined) throw new Failure('unsupported', `requirement ${(requirement as { type: string }).type}`)
      const expected = (requirement as unknown as Record<string, number>)[names[1]]
      if (metadata[names[0]] === expected) return
      throw requirementFailed(`${names[0]} is ${metadata[names[0]]}, not ${expected}`)
    }
  }
}
