/** The chart of the lake demo: what is hot and what is cold over time, on a terminal and as SVG. */

/** One moment. */
export interface Sample {
  /** Rows that were written so far: the horizontal axis. */
  readonly written: number
  /** Bytes of payloads that SQLite holds. */
  readonly hotBytes: number
  /** Bytes of the files that the newest snapshot names. */
  readonly coldBytes: number
  /** Files that the newest snapshot names. */
  readonly files: number
  /** Something happened. */
  readonly event?: string
}

const bars = ' ▁▂▃▄▅▆▇█'

/** Write one series as lines of bars, highest first. */
function barLines(values: readonly number[], most: number, height: number): string[] {
  const eighths = values.map((value) => Math.round((8 * height * value) / (most || 1)))
  return Array.from({ length: height }, (_, line) => {
    const base = 8 * (height - 1 - line)
    return eighths.map((value) => bars[Math.max(0, Math.min(8, value - base))]).join('')
  })
}

const bytesText = (bytes: number) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} KB` : `${(bytes / 1e6).toFixed(1)} MB`)

/** Draw samples for a terminal. */
export function terminalChart(samples: readonly Sample[]): string[] {
  const series = [
    ['hot: payloads in SQLite', samples.map(({ hotBytes }) => hotBytes), bytesText],
    ['cold: Parquet in the lake', samples.map(({ coldBytes }) => coldBytes), bytesText],
    ['files of the tables', samples.map(({ files }) => files), (files: number) => `${files} files`],
  ] as const
  const lines = series.flatMap(([title, values, show]) => {
    const most = Math.max(...values)
    const drawn = barLines(values, most, 4)
    const labels = [`${show(most)} at most`, '', '', `${show(values.at(-1) ?? 0)} at the end`]
    return [`  ${title}`, ...drawn.map((line, index) => `  │${line}│ ${labels[index]}`.trimEnd())]
  })
  const marks = samples.map(({ event }) => (event === undefined ? '─' : '▲')).join('')
  const events = samples.flatMap(({ event }) => event ?? [])
  return [...lines, `  └${marks}┘ rows written; ▲ ${events.join(', ')}`]
}

const size = { width: 860, height: 300, left: 70, right: 70, top: 30, bottom: 40 }
const escapeXml = (text: string) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)

/** Where things stand in the picture. */
interface Scale {
  x(index: number): number
  y(value: number): number
  readonly most: number
}

function scaleOf(samples: readonly Sample[], most: number): Scale {
  const { width, height, left, right, top, bottom } = size
  const step = (width - left - right) / Math.max(1, samples.length - 1)
  return {
    most,
    x: (index) => left + index * step,
    y: (value) => height - bottom - ((height - top - bottom) * value) / (most || 1),
  }
}

const pathOf = (values: readonly number[], { x, y }: Scale) => {
  return values
    .map((value, index) => `${index === 0 ? 'M' : 'L'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`)
    .join('')
}

function areaOf(lower: readonly number[], upper: readonly number[], scale: Scale): string {
  const back = lower.map((value, index) => `L${scale.x(index).toFixed(1)} ${scale.y(value).toFixed(1)}`).reverse()
  return `${pathOf(upper, scale)}${back.join('')}Z`
}

function axes(samples: readonly Sample[], bytes: Scale, files: Scale): string[] {
  const { width, height, left, right, bottom } = size
  const ticks = [0, 0.25, 0.5, 0.75, 1].flatMap((part) => {
    const y = bytes.y(part * bytes.most)
    return [
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/>`,
      `<text class="label" text-anchor="end" x="${left - 8}" y="${y + 4}">${bytesText(part * bytes.most)}</text>`,
      `<text class="label files" x="${width - right + 8}" y="${y + 4}">${Math.round(part * files.most)}</text>`,
    ]
  })
  let named = 0
  const marks = samples.flatMap(({ event, written }, index) => {
    const x = bytes.x(index)
    const isLabelled = index % Math.ceil(samples.length / 8) === 0
    const label = `<text class="label" text-anchor="middle" x="${x}" y="${height - bottom + 18}">${written}</text>`
    const line = `<line class="event" x1="${x}" x2="${x}" y1="${size.top}" y2="${height - bottom}"/>`
    if (event === undefined) return isLabelled ? [label] : []
    // One under the other: events may stand close together.
    const y = size.top + 12 + 14 * named++
    const name = `<text class="label event-name" text-anchor="end" x="${x - 4}" y="${y}">${escapeXml(event)}</text>`
    return [...(isLabelled ? [label] : []), line, name]
  })
  return [...ticks, ...marks]
}

const style = `
  text { font: 12px system-ui, sans-serif; fill: #334155 }
  .label { font-size: 11px; fill: #64748b } .files { fill: #b45309 } .event-name { fill: #334155 }
  .grid { stroke: #e2e8f0 } .event { stroke: #94a3b8; stroke-dasharray: 3 3 }
  .cold { fill: #7dd3fc } .hot { fill: #fb923c } .count { fill: none; stroke: #b45309; stroke-width: 2 }`

/** Draw samples as SVG: hot on cold as areas, the number of files as a line. */
export function svgChart(samples: readonly Sample[]): string {
  const { width, height, left, bottom } = size
  const cold = samples.map(({ coldBytes }) => coldBytes)
  const both = samples.map(({ hotBytes, coldBytes }) => hotBytes + coldBytes)
  const files = samples.map((sample) => sample.files)
  const bytes = scaleOf(samples, Math.max(...both))
  const counts = scaleOf(samples, Math.max(...files))
  const none = samples.map(() => 0)
  const legend = [
    ['hot', 'hot payloads in SQLite'],
    ['cold', 'Parquet in the lake'],
  ].flatMap(([name, text], index) => [
    `<rect class="${name}" x="${left + 190 * index}" y="8" width="12" height="12"/>`,
    `<text x="${left + 190 * index + 18}" y="18">${text}</text>`,
  ])
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img">`,
    `<style>${style}\n</style>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...legend,
    `<line class="count" x1="${left + 380}" x2="${left + 392}" y1="14" y2="14"/>`,
    `<text x="${left + 398}" y="18">files of the tables</text>`,
    `<path class="cold" d="${areaOf(none, cold, bytes)}"/>`,
    `<path class="hot" d="${areaOf(cold, both, bytes)}"/>`,
    ...axes(samples, bytes, counts),
    `<path class="count" d="${pathOf(files, counts)}"/>`,
    `<text class="label" text-anchor="middle" x="${width / 2}" y="${height - bottom + 34}">rows written</text>`,
    '</svg>',
  ].join('\n')
}

/** Put the chart and what was found out on a page. */
export function pageOf(samples: readonly Sample[], title: string, lines: readonly string[]): string {
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8">',
    `<title>${escapeXml(title)}</title>`,
    '<style>body { font: 15px system-ui, sans-serif; color: #1e293b; margin: 2rem auto; max-width: 900px }',
    'pre { font-size: 13px; background: #f8fafc; padding: 1rem; overflow-x: auto }</style>',
    `<h1>${escapeXml(title)}</h1>`,
    svgChart(samples),
    `<pre>${escapeXml(lines.join('\n'))}</pre></html>`,
    '',
  ].join('\n')
}
