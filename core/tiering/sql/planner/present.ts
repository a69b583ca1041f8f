/** Values of files as SQL shows them: types that the planner only carries become text or plain JSON. */
import { formatDate, formatTime } from '../../iceberg/calendar.ts'
import { childrenOf, type IcebergType, isPrimitive, parsePrimitive } from '../../iceberg/types.ts'
import { formatDecimal } from '../../iceberg/values.ts'
import type { Datum } from './values.ts'

/** Find how values of a type are shown.
 *  @returns undefined when they are as they should be */
export function presenterOf(type: IcebergType): ((value: unknown) => Datum) | undefined {
  if (!isPrimitive(type)) return nested(type)
  const { kind, scale } = parsePrimitive(type)
  switch (kind) {
    case 'decimal':
      return orNull((value) => formatDecimal(BigInt(value as bigint), scale))
    case 'date':
      return orNull((value) => formatDate(value as number))
    case 'time':
      return orNull((value) => formatTime(Number(value)))
    default:
      return undefined
  }
}

const orNull = (show: (value: unknown) => Datum) => (value: unknown) => (value === null ? null : show(value))

function nested(type: Exclude<IcebergType, string>): (value: unknown) => Datum {
  const parts = childrenOf(type).map(({ name, type: part }) => ({
    name,
    show: presenterOf(part) ?? ((one: unknown) => one),
  }))
  const [first, second] = parts
  switch (type.type) {
    case 'list':
      return orNull((value) => (value as unknown[]).map((one) => first?.show(one)))
    case 'map':
      return orNull((value) => {
        const entries = [...(value as Map<unknown, unknown>)]
        return Object.fromEntries(entries.map(([key, one]) => [String(first?.show(key)), second?.show(one)]))
      })
    default:
      return orNull((value) => {
        const row = value as Record<string, unknown>
        return Object.fromEntries(parts.map(({ name, show }) => [name, show(row[name] ?? null)]))
      })
  }
}
