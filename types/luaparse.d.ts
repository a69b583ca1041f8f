/** luaparse 0.3.1, as far as the Lua of Redis uses it; it comes without types. */
declare module 'luaparse' {
  /** Parse a chunk.
   *  @throws SyntaxError with `line` */
  export function parse(
    code: string,
    options: {
      luaVersion: '5.1'
      encodingMode: 'pseudo-latin1'
      comments: false
      locations: true
      ranges: true
      onCreateNode?: (node: { readonly range?: readonly [number, number]; inParens?: boolean }) => void
    },
  ): unknown
  const luaparse: { parse: typeof parse }
  export default luaparse
}
