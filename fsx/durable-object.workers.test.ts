/** A filesystem inside a Durable Object. */
import { env, runInDurableObject } from 'cloudflare:test'
import { expect, it } from 'vitest'
import { fsxInside } from './api/durable-object.ts'
import { codeOf } from './fsx.conformance.ts'

it('is there when the object is opened again, beside tables of its own', async () => {
  await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, { storage }) => {
    storage.sql.exec('create table mine (id integer primary key)')
    const fs = await fsxInside(storage)
    await fs.write('/notes/today.md', '# Today')
    for (let i = 0; i < 100; i++) await fs.promises.writeFile(`/notes/${i}`, String(i))
    expect(fs.readFileSync('/notes/today.md', 'utf8')).toBe('# Today')
    fs.writeFileSync('/notes/now', 'x')
    expect(() => fs.readFileSync('/none')).toThrow('ENOENT')
    const again = await fsxInside(storage, { cwd: '/notes', as: { uid: 1000, gid: 1000 } })
    expect((await again.list('.')).length).toBe(102)
    expect(await again.read('99', 'utf8')).toBe('99')
    expect(await codeOf(again.write('now', 'y'))).toBe('EACCES')
    expect(await again.fsck()).toEqual([])
    storage.sql.exec('insert into mine values (1)')
  })
})

it('knows when a transaction around it was undone', async () => {
  await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, { storage }) => {
    const fs = await fsxInside(storage)
    await fs.write('/d/f', 'x')
    const undone = () =>
      storage.transactionSync(() => {
        fs.writeFileSync('/d/n', 'new')
        throw new Error('no')
      })
    expect(undone).toThrow('no')
    expect(fs.readdirSync('/d')).toEqual(['f'])
    await fs.write('/d/n', 'again')
    const again = await fsxInside(storage)
    expect(await again.read('/d/n', 'utf8')).toBe('again')
    expect(await again.fsck()).toEqual([])
  })
})

it('says what is a bug of ours, and undoes the call', async () => {
  await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, { storage }) => {
    const bugs: unknown[] = []
    let isBroken = false
    const { sql } = storage
    const exec = (statement: string, ...values: unknown[]) => {
      if (isBroken && statement.includes('fs_entries')) throw new TypeError('not what SQLite says')
      return sql.exec(statement, ...values)
    }
    const broken = {
      sql: { exec, databaseSize: 0 },
      transactionSync: <T>(work: () => T) => storage.transactionSync(work),
    }
    const fs = await fsxInside(broken, { onBug: (error) => bugs.push(error) })
    await fs.mkdir('/d')
    isBroken = true
    expect(await codeOf(fs.promises.writeFile('/d/f', 'x'))).toBe('EIO')
    expect(bugs).toHaveLength(1)
    isBroken = false
    expect(await fs.list('/d')).toEqual([])
    expect(await fs.fsck()).toEqual([])
  })
})
