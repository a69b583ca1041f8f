/** SQL over hot and cold rows. */
export * from './port.ts'
