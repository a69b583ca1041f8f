/** Rules on dependencies: what is imported is declared, what is declared is pinned and explained. */
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { importsOf } from './layers.ts'
import { isFree, type Problem, root, type Source } from './source.ts'

interface Manifest {
  readonly workspaces?: readonly string[]
  readonly dependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
  readonly devDependencies?: Record<string, string>
  readonly overrides?: Record<string, string>
  /** Names that begin with # and that the package gives to files of its own. */
  readonly imports?: Record<string, unknown>
}

const readManifest = (folder: string) =>
  JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Manifest

/** Every package.json of the repository by its folder; the root's is `.`. */
export function readManifests(): Map<string, Manifest> {
  const manifest = readManifest('.')
  return new Map([['.', manifest], ...(manifest.workspaces ?? []).map((name) => [name, readManifest(name)] as const)])
}

/** The versions of everything that a manifest declares. */
export function declared({ dependencies, optionalDependencies, devDependencies }: Manifest): Record<string, string> {
  return { ...dependencies, ...optionalDependencies, ...devDependencies }
}

/** Make the rule that a package imports only what its package.json declares; tests and tools may use the root's too. */
export function declaredImports(manifests: ReadonlyMap<string, Manifest>): (source: Source) => Problem[] {
  return (source) => {
    const folder = [...manifests.keys()].find((name) => source.path.startsWith(`${name}/`)) ?? '.'
    const manifest = manifests.get(folder) as Manifest
    const names = new Set([...Object.keys(declared(manifest)), ...Object.keys(manifest.imports ?? {})])
    // Tools and tests see everything that is installed: nothing of them is published.
    if (isFree(source.path))
      for (const manifest of manifests.values()) for (const name in declared(manifest)) names.add(name)
    const own = folder === '.' ? undefined : (readManifest(folder) as { name?: string }).name
    return importsOf(source).flatMap(({ specifier, line }) => {
      if (/^[./]/.test(specifier) || isBuiltin(specifier) || /^(cloudflare|workerd):/.test(specifier)) return []
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
      if (names.has(name) || name === own || (isFree(source.path) && /^(@dotdo\/|dotdo$)/.test(name))) return []
      return [{ line, message: `imports ${name}, which ${folder}/package.json does not declare` }]
    })
  }
}

/** Compare docs/dependencies.md with the manifests.
 *  @param text has a row `| name | version | what for |` for each dependency
 *  @returns what is missing, stale, unexplained or not pinned */
export function checkDependencyPage(text: string, manifests: ReadonlyMap<string, Manifest>): string[] {
  const rows = new Map<string, readonly [version: string, purpose: string]>()
  for (const [, name, version, purpose] of text.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]*) \|$/gm)) {
    rows.set(name as string, [(version as string).trim(), (purpose as string).trim()])
  }
  const wanted = new Map<string, string>()
  for (const manifest of manifests.values()) {
    for (const [name, version] of Object.entries({ ...declared(manifest), ...manifest.overrides })) {
      if (!/^(@dotdo\/|dotdo$)/.test(name)) wanted.set(name, version)
    }
  }
  const problems: string[] = []
  for (const [name, version] of wanted) {
    if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) problems.push(`${name} ${version} is not an exact version`)
    const row = rows.get(name)
    if (row === undefined) problems.push(`${name} is not in docs/dependencies.md`)
    else if (row[0] !== version) problems.push(`${name} is ${version}, docs/dependencies.md says ${row[0]}`)
    else if (row[1].length < 10) problems.push(`${name}: docs/dependencies.md does not say what for`)
  }
  for (const name of rows.keys()) if (!wanted.has(name)) problems.push(`${name} is explained, but not a dependency`)
  return problems
}
