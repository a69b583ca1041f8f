/** Tiering: hot rows into Iceberg tables, and back. docs/lake.md tells how. */
export * from './port.ts'
