/** What Lua is compiled to: closures over a frame of locals and the cells of captured ones. */
import type { Bin } from '@dotdo/core/bytes'
import type { Expression, Identifier } from './ast.ts'
import type { Machine, Where } from './machine.ts'
import type { LuaValue, Results, Site } from './value.ts'

/** A captured local. */
export interface Cell {
  value: LuaValue
}

/** The locals of one call: values, cells where they are captured, and the extra arguments of a vararg function. */
export type Frame = (LuaValue | Cell | LuaValue[])[]

/** Computes one value. */
export type Evaluate = (frame: Frame, cells: readonly Cell[]) => LuaValue

/** Computes any number of values. */
export type EvaluateAll = (frame: Frame, cells: readonly Cell[]) => Results

/** Runs a statement.
 *  @returns undefined when the next one follows, BREAK, or what the function returns */
export type Execute = (frame: Frame, cells: readonly Cell[]) => Results

/** Leaves a loop. */
export const BREAK: LuaValue[] = []
Object.freeze(BREAK)

/** Returns nil, where undefined would go on. */
export const RETURN_NIL: LuaValue[] = [undefined]
Object.freeze(RETURN_NIL)

/** What the compiler knows of the chunk it works on. */
export class Chunk {
  readonly machine: Machine
  readonly name: Bin
  readonly source: Bin
  private readonly sites = new Map<number, Site>()

  /** @param source as debug information has it: `@user_script` */
  constructor(machine: Machine, name: Bin, source: Bin) {
    this.machine = machine
    this.name = name
    this.source = source
  }

  /** Get the site of a line. */
  site(line: number): Site {
    let site = this.sites.get(line)
    if (site === undefined) {
      site = { chunk: this.name, source: this.source, line }
      this.sites.set(line, site)
    }
    return site
  }

  /** Describe an operand for messages. */
  where(line: number, operand: Expression): Where {
    return { site: this.site(line), what: nameOf(operand) }
  }
}

/** Say what an operand is called: `local 'x'`, or nothing. */
export function nameOf(node: Expression): Bin {
  if (node.type === 'Identifier') return nameOfVariable(node)
  if (node.type === 'MemberExpression') return `${node.indexer === ':' ? 'method' : 'field'} '${node.identifier.name}'`
  if (node.type !== 'IndexExpression') return ''
  return node.index.type === 'StringLiteral' ? `field '${node.index.value}'` : "field '?'"
}

function nameOfVariable({ name, reference }: Identifier): Bin {
  return `${reference?.kind ?? 'global'} '${name}'`
}
