/** Functions of text. */
import { lengthOf, lower, substring, upper } from './characters.ts'
import { operands } from './conditions.ts'
import type { Evaluate, Make } from './expression.ts'
import type { Datum } from './values.ts'

const ofText =
  (compute: (text: string) => Datum): Make =>
  ([value]) =>
  (columns, row) => {
    const text = (value as Evaluate)(columns, row)
    return text === null ? null : compute(text as string)
  }

/** Functions of text by name. */
export const textFunctions: { readonly [name: string]: Make } = {
  lower: ofText(lower),
  upper: ofText(upper),
  length: ofText(lengthOf),
  '||': (args) => {
    const [a, b] = operands(args)
    return (columns, row) => {
      const [left, right] = [a(columns, row), b(columns, row)]
      return left === null || right === null ? null : `${left}${right}`
    }
  },
  substr: (args) => {
    const [text, start, length] = operands(args)
    return (columns, row) => {
      const value = text(columns, row)
      const from = start(columns, row)
      if (value === null || from === null) return null
      if (args.length === 2) return substring(value as string, Number(from))
      const count = length(columns, row)
      return count === null ? null : substring(value as string, Number(from), Number(count))
    }
  },
}
