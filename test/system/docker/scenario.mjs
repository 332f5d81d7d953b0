// ./dev scenario docker: the manual's three machines, by its own commands. MACHINE1 has MariaDB, MACHINE2 phpMyAdmin, MACHINE3 a public gateway;
// somebody outside opens http://<machine3>:8080 and sees what is in the database. Then containers are killed, added and relabelled, and an
// engine is killed and started again, while a watch is kept on how soon the other machines follow. Exit status 0 when all of it was so.
//
// All images are built by `docker build` (images.mjs).
import assert from 'node:assert/strict'
import path from 'node:path'
import { binary, run, scratch, untilWorks } from '../harness.mjs'
import { Images } from './images.mjs'
import { Lab } from './lab.mjs'
import * as manual from './manual.mjs'

const here = (name) => new URL(name, import.meta.url).pathname
const begun = performance.now()
const say = (text) => console.log(`[${((performance.now() - begun) / 1000).toFixed(1).padStart(6)} s] ${text}`)
const results = []

function note (what, ms, mostMs) {
  const fits = ms >= 0 && (mostMs === undefined || ms < mostMs)  // below 0: something else than the event was seen
  results.push({ what, ms: Math.round(ms), fits })
  say(`  ${what}: ${Math.round(ms)} ms${fits ? '' : ` – not within ${mostMs}`}`)
}

async function buildImages (lab) {
  const images = await Images.start(lab, (what, seconds) => say(`${what}: ${seconds.toFixed(0)} s`))
  await images.hypergate({ HYPERGATE_BOOTSTRAP: lab.bootstrap, HYPERGATE_LOG: 'json' })
  const size = Number(await images.builder.docker('image', 'inspect', '-f', '{{.Size}}', 'hypergate:plain'))
  say(`  image hypergate: ${(size / 1e6).toFixed(1)} MB`)
  assert.ok(size < 20e6)
  await images.other('mysql', here('mysql'))
  await images.other('phpmyadmin', here('phpmyadmin'))
  say('images to the machines')
  const { builder } = images
  await Promise.all([m1.take(builder, 'hypergate', 'mysql'), m2.take(builder, 'hypergate', 'phpmyadmin'), m3.take(builder, 'hypergate')])
  await images.stop()
}

const lab = await Lab.start(3)
if (lab.reason) {
  console.error(lab.reason)
  process.exit(1)
}
const [m1, m2, m3] = lab.machines
const jar = scratch()
let secret

function type (machine, command, name) {
  say(`machine ${machine.number ?? machine.name.slice(1)} $ ${command.replace(/\s*\\\n\s*/g, ' ')}`)
  return machine.type(command.replace(/<router-key>|<router>/g, secret), { name, env: { PATH: `${path.dirname(binary)}:${process.env.PATH}`, HYPERGATE_BOOTSTRAP: lab.bootstrap, HYPERGATE_LOG: 'json' } })
}

async function typed (machine, command) {
  const it = type(machine, command, 'typed')
  const status = await it.exited
  assert.equal(status, 0, it.tail())
  return it.lines.join('\n').trim()
}

// What somebody with a browser does at http://<machine3>:8080.
async function browse (target, ...args) {
  const { status, stdout, stderr } = await run(...lab.inside(lab.middle, 'curl', '-sS', '-L', '-m', '20', '-b', jar.path('cookies'), '-c', jar.path('cookies'), ...args, `http://10.89.0.3:8080/${target}`))
  if (status !== 0) throw new Error(stderr.trim())
  return stdout
}

async function logIn () {
  const form = await browse('')
  assert.match(form, /phpMyAdmin/)
  const [, token] = form.match(/name="token" value="([^"]+)"/) ?? []
  const [, session] = form.match(/name="set_session" value="([^"]+)"/) ?? []
  const fields = { pma_username: 'root', pma_password: 'secretpassword', server: '1', token: token.replaceAll('&amp;', '&'), set_session: session ?? '' }
  const inside = await browse('index.php?route=/', ...Object.entries(fields).flatMap(([name, value]) => ['--data-urlencode', `${name}=${value}`]))
  assert.match(inside, /MariaDB/, 'not logged in')
}

const showTable = async () => {
  const shown = await browse('index.php?route=/sql&db=wp&table=greetings&pos=0')
  assert.match(shown, /a greeting out of MariaDB/)
}

async function fill () {
  const sql = "CREATE TABLE IF NOT EXISTS wp.greetings (words TEXT); INSERT INTO wp.greetings VALUES ('a greeting out of MariaDB')"
  await untilWorks(() => m1.docker('exec', 'test-mysql', 'mariadb', '-uroot', '-e', sql), 60000)
}

const milliseconds = (line) => Date.parse(JSON.parse(line).time)

// From the engine's event to the line that another machine's program logs.
async function follows (what, log, pattern, machine, container, action, change) {
  const [mark, since] = [log.lines.length, Date.now()]
  await change()
  const [line] = await log.line(new RegExp(`^\\{.*${pattern.source}.*$`), 30000, mark)
  note(what, milliseconds(line) - await machine.eventTime(container, action, since), 1000)
}

async function threeMachines () {
  secret = await typed(m1, manual.create)
  assert.match(secret, /^[0-9a-f]{64}$/)
  const start = performance.now()
  const logs = {}
  logs.sp1 = type(m1, manual.provider1, 'provider')
  await logs.sp1.line(/network hypergatenet created/)
  await typed(m1, manual.database)
  await typed(m1, manual.connectDatabase)
  logs.gw2 = type(m2, manual.gateway2, 'gateway')
  logs.sp2 = type(m2, manual.provider2, 'provider')
  await logs.sp2.line(/own container attached/)
  await typed(m2, manual.page)
  await typed(m2, manual.connectPage)
  logs.gw3 = type(m3, manual.gateway3, 'gateway')
  await fill()
  await untilWorks(logIn, 90000)
  await showTable()
  note('first command to the database\'s content in the browser', performance.now() - start)
  const again = performance.now()
  for (let i = 0; i < 5; i++) await showTable()
  note('a page of phpMyAdmin (its queries cross from machine 2 to machine 1)', (performance.now() - again) / 5)
  return logs
}

async function changes (logs) {
  const database = (name, ...options) => m1.docker('run', '-d', '--name', name, '-e', 'MYSQL_ROOT_HOST=%', '-e', 'MYSQL_DATABASE=wp', '-e', 'MYSQL_ROOT_PASSWORD=secretpassword',
    '--network', 'hypergatenet', ...options, 'mysql')
  say('a second database comes, goes, and comes back under other labels')
  await follows('container starts → gate on machine 2', logs.gw2, /tcp 0\.0\.0\.0:3307 open for second:3306/, m1, 'second', 'start', () => database('second', '--label', 'hypergate.EXPOSE=3306:3307'))
  await follows('container is killed → gate gone', logs.gw2, /no more: tcp 0\.0\.0\.0:3307/, m1, 'second', 'die', () => m1.docker('kill', 'second'))
  await m1.docker('rm', '-f', 'second')
  await follows('container comes back relabelled → other gate', logs.gw2, /tcp 0\.0\.0\.0:3308 open for second:3306/, m1, 'second', 'start', () => database('second', '--label', 'hypergate.EXPOSE=3306:3308'))
  const before = logs.gw2.lines.length
  await m1.docker('rm', '-f', 'second')
  await logs.gw2.line(/no more: tcp 0\.0\.0\.0:3308/, 30000, before)

  say('the database itself is killed, and started again by the manual\'s commands')
  await follows('test-mysql is killed → gate gone', logs.gw2, /no more: tcp 0\.0\.0\.0:3306 open for mysql\.hyper:3306"/, m1, 'test-mysql', 'die', () => m1.docker('kill', 'test-mysql'))
  await untilWorks(() => m1.docker('inspect', 'test-mysql').then(() => { throw new Error('still there') }, () => {}))
  await typed(m1, manual.database)
  const since = Date.now()
  const mark = logs.gw2.lines.length
  await typed(m1, manual.connectDatabase)
  const [line] = await logs.gw2.line(/^\{.*tcp 0\.0\.0\.0:3306 open for mysql\.hyper:3306.*$/, 30000, mark)
  note('test-mysql is connected to the network → gate', milliseconds(line) - since, 1000)
  await fill()
  await untilWorks(showTable, 60000)
  note('its end of the work to the page with the new database', Date.now() - since)
}

async function restartedEngine (logs) {
  say('a provider outside containers takes over on machine 1; then its engine is killed and started again')
  logs.host = type(m1, manual.providerOnHost, 'provider on the host')
  await logs.host.line(/services offered: [1-9]/)
  await m1.docker('kill', 'hypergate-sp-machine1')
  await logs.sp1.exited
  await untilWorks(showTable)
  let mark = logs.host.lines.length
  const routed = logs.gw2.lines.length
  await m1.kill()
  await logs.host.line(/Docker Engine at .*trying again/, 15000, mark)
  mark = logs.host.lines.length
  await untilWorks(() => m1.start(), 90000)
  const back = Date.now()
  const [looked] = await logs.host.line(/^\{.*containers on network.*$/, 15000, mark)
  note('engine answers again → provider has looked', Math.max(0, milliseconds(looked) - back), 1000)  // 0: before we had an answer ourselves
  await m1.docker('rm', '-f', 'test-mysql').catch(() => {})
  await logs.gw2.line(/no more: tcp 0\.0\.0\.0:3306 open for mysql\.hyper:3306"/, 30000, routed)
  await typed(m1, manual.database)
  mark = logs.gw2.lines.length
  const since = Date.now()
  await typed(m1, manual.connectDatabase)
  const [line] = await logs.gw2.line(/^\{.*tcp 0\.0\.0\.0:3306 open for mysql\.hyper:3306.*$/, 30000, mark)
  note('database on the restarted engine → gate', milliseconds(line) - since, 1000)
  await fill()
  await untilWorks(showTable, 60000)

  say('machine 2\'s engine is stopped and started; its containers are started again by the manual\'s commands')
  await m2.engine.stop('SIGTERM', 60000)
  await Promise.all([logs.gw2.exited, logs.sp2.exited])
  await untilWorks(() => m2.start(), 90000)
  const restarted = performance.now()
  for (const name of ['hypergate-gw-machine2', 'hypergate-sp-machine2', 'test-phpmyadmin']) await m2.docker('rm', '-f', name).catch(() => {})
  logs.gw2 = type(m2, manual.gateway2, 'gateway')
  logs.sp2 = type(m2, manual.provider2, 'provider')
  await logs.sp2.line(/own container attached/)
  await typed(m2, manual.page)
  await typed(m2, manual.connectPage)
  await untilWorks(logIn, 60000)
  await showTable()
  note('engine of machine 2 answers again → page', performance.now() - restarted)
}

let failure
try {
  await lab.startDht()
  await buildImages(lab)
  const logs = await threeMachines()
  await changes(logs)
  await restartedEngine(logs)
} catch (error) {
  failure = error
} finally {
  await lab.stop()
  jar.remove()
}
console.log('\n| what | ms |\n|---|---|')
for (const { what, ms, fits } of results) console.log(`| ${what} | ${ms}${fits ? '' : ' (out of bounds)'} |`)
if (failure) console.error(failure)
process.exit(failure || results.some(({ fits }) => !fits) ? 1 : 0)
