/** luaparse 0.3.1, as far as the Lua of Redis uses it; it comes without types. */
declare module 'luaparse' {
  /** Parse a chunk.
   *  @throws SyntaxError with `line` */
  export function parse(
    code: string,
    options: { luaVersion: '5.1'; encodingMode: 'pseudo-latin1'; comments: false; locations: true },
  ): unknown
  const luaparse: { parse: typeof parse }
  export default luaparse
}
