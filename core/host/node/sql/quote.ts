/** Names and texts in SQL of ours: values from outside are never put into it otherwise. */

/** Write a name. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Write a text. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
