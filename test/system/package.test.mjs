// What ./dev package leaves for other machines: what is in the Debian package, its manual page and completion beside --help, and the static
// program in a root folder of its own. (Installed and run by systemd: installed.test.mjs.)
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { binary, freePort, get, newSecret, Process, root, run, scratch, service, startWeb } from './harness.mjs'

const made = path.join(root, 'build/package')
const files = scratch()
const unpacked = files.path('unpacked')
let deb, help

before(async () => {
  const packages = readdirSync(made).filter((name) => name.endsWith('.deb'))
  assert.equal(packages.length, 1, `one package in ${made}, by ./dev package`)
  deb = path.join(made, packages[0])
  await output('dpkg-deb', '-x', deb, unpacked)
  help = await output(binary, '--help')
})
after(() => files.remove())

async function output (command, ...args) {
  const { status, stdout, stderr } = await run(command, args)
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}

const inPackage = (name) => path.join(unpacked, name)
const field = async (name) => (await output('dpkg-deb', '-f', deb, name)).trim()

/** Of --help: "--listen IP" and its like, as written there. */
const optionsOfHelp = () => [...help.matchAll(/^ {2}(?:-h,)?(--[A-Za-z]+)(?: (\[?[A-Z]{2}\S*))?(?: |$)/gm)].map(([, name, takes]) => takes ? `${name} ${takes}` : name)
const verbsOfHelp = () => help.match(/^Usage: hypergate \[(\S+)\]/m)[1].split('|')

test('the package holds the program that was built last, and what belongs to it', async () => {
  const listed = (await output('dpkg-deb', '-c', deb)).trim().split('\n').filter((line) => !line.startsWith('d')).map((line) => line.split(/\s+/))
  assert.deepEqual(listed.map(([mode, owner, , , , name]) => `${mode} ${owner} ${name.slice(2)}`).sort(), [
    '-rw------- root/root etc/hypergate/dht.env',
    '-rw------- root/root etc/hypergate/gateway.env',
    '-rw------- root/root etc/hypergate/provider.env',
    ...['dht', 'gateway', 'provider'].map((role) => `-rw-r--r-- root/root lib/systemd/system/hypergate-${role}.service`),
    '-rw-r--r-- root/root usr/share/bash-completion/completions/hypergate',
    ...['README.md', 'changelog.gz', 'copyright', 'examples/filter.json', 'examples/ingress-policy.json', 'examples/services.json']
      .map((name) => `-rw-r--r-- root/root usr/share/doc/hypergate/${name}`),
    ...['filter', 'ingress-policy', 'services'].map((name) => `-rw-r--r-- root/root usr/share/hypergate/schema/${name}.schema.json`),
    '-rw-r--r-- root/root usr/share/man/man1/hypergate.1.gz',
    '-rwxr-xr-x root/root usr/bin/hypergate'
  ])
  assert.ok(readFileSync(inPackage('usr/bin/hypergate')).equals(readFileSync(path.join(root, 'build/release/hypergate'))), 'of another build: ./dev package')
  assert.equal(await field('Version'), (await output(binary, '--version')).trim().split(' ')[1])
  assert.equal(path.basename(deb), `hypergate_${await field('Version')}_${(await output('dpkg', '--print-architecture')).trim()}.deb`)
  assert.match(readFileSync(inPackage('usr/share/doc/hypergate/copyright'), 'utf8'), /^BSD 3-Clause License[^]*libcli11-dev[^]*Henry Schreiner/)
  assert.equal(await output('dpkg-deb', '-I', deb, 'conffiles'), ['provider', 'gateway', 'dht'].map((role) => `/etc/hypergate/${role}.env\n`).join(''))
})

test('the static program comes with the terms of what is compiled in', () => {
  const notices = readFileSync(path.join(made, 'NOTICES'), 'utf8')
  assert.match(notices, /^BSD 3-Clause License/)
  for (const whose of [/OpenSSL/, /Frank Denis/, /GNU C Library/, /GNU LESSER GENERAL PUBLIC LICENSE/, /Apache License\s+Version 2\.0/, /Victor Zverovich/])
    assert.match(notices, whose)
})

test('it depends on the packages of the libraries that its program loads, and on no other', async () => {
  const loaded = [...(await output('readelf', '-d', inPackage('usr/bin/hypergate'))).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name)
  const folder = (await output('gcc', '-print-multiarch')).trim()
  const owners = new Set((await output('dpkg', '-S', ...loaded.map((library) => `*/${folder}/${library}`))).trim().split('\n').map((line) => line.split(':')[0]))
  // Some go by another name: spdlog's package provides one for its version of fmt.
  const ownerOf = new Map([...owners].map((owner) => [owner, owner]))
  for (const line of (await output('dpkg-query', '-W', '-f', '${Package}, ${Provides}\n', ...owners)).trim().split('\n')) {
    const [owner, ...provided] = line.split(', ')
    for (const name of provided) ownerOf.set(name.split(' ')[0], owner)
  }
  const depends = (await field('Depends')).split(', ').map((entry) => entry.split(' ')[0])
  assert.deepEqual(depends.map((name) => ownerOf.get(name) ?? name).sort(), [...owners].sort())
})

test('its examples are what the program takes', async () => {
  const examples = inPackage('usr/share/doc/hypergate/examples')
  const said = await output(binary, 'check', ...readdirSync(examples).sort().map((name) => path.join(examples, name)))
  assert.match(said, /filter\.json: gateway filter, .*\n.*ingress-policy\.json: ingress policy, .*\n.*services\.json: services, .*\n$/)
})

test('the manual page has the options and verbs of --help, and the variables that are none', async () => {
  const page = gunzipSync(readFileSync(inPackage('usr/share/man/man1/hypergate.1.gz'))).toString().replaceAll('\\-', '-').replaceAll('\\[u2026]', '…')
  const [, options] = page.match(/^\.SH OPTIONS\n([^]*?)^\.SH /m)
  const ofPage = [...options.matchAll(/^\.TP\n\\fB(?:-h, )?(.*)\\fR( .*)?$/gm)].map(([, name, takes]) => name + (takes ?? ''))
  assert.ok(ofPage.length > 40)
  assert.deepEqual(ofPage, optionsOfHelp())
  for (const text of ['Address the gates listen on (default 127.0.0.1)', 'How often URLs of services, filters and policies are asked for changes (60000)']) assert.ok(options.includes(`\n${text}\n`), text)
  const [, synopsis] = page.match(/^\.SH SYNOPSIS\n([^]*?)^\.SH /m)
  assert.deepEqual([...synopsis.matchAll(/hypergate ([a-z]+)/g)].map(([, verb]) => verb).sort(), verbsOfHelp().sort())
  const [, without] = help.match(/but for\s+([^;]*);/)
  const [, withoutOnPage] = page.match(/^\.SH ENVIRONMENT\n([^]*?)\nhave none/m)
  const names = without.match(/--[a-z]+/g)
  for (const name of names) assert.ok(withoutOnPage.includes(name), name)
  assert.equal(withoutOnPage.match(/--[A-Za-z]+/g).filter((name) => !['--routerFile', '--provider'].includes(name)).length, names.length)
})

test('the completion knows the verbs and options of --help, and what they take', async () => {
  const folder = files.path('completion')
  mkdirSync(path.join(folder, 'sub folder'), { recursive: true })
  writeFileSync(path.join(folder, 'services.json'), '')
  const completed = async (...words) => {
    const script = 'source "$1"; program=$2; shift 2; COMP_WORDS=(hypergate "$@"); COMP_CWORD=$#; $(complete -p hypergate | grep -oP "(?<=-F )\\S+") "$program"; printf "%s\\n" "${COMPREPLY[@]}"'
    const { stdout, stderr } = await run('bash', ['-c', script, 'bash', inPackage('usr/share/bash-completion/completions/hypergate'), binary, ...words], { cwd: folder })
    assert.equal(stderr, '', words.join(' '))
    return stdout.trimEnd() === '' ? [] : stdout.trimEnd().split('\n')
  }
  const everything = ['services.json', 'sub folder']
  const names = optionsOfHelp().map((option) => option.split(' ')[0])
  assert.deepEqual(await completed(''), verbsOfHelp())
  assert.deepEqual(await completed('--'), names)
  assert.deepEqual(await completed('gateway', '--routerFile', 's', '--'), names)
  assert.deepEqual(await completed('pro'), ['provider'])
  for (const words of [['provider'], ['check', 'a.json'], ['gateway'], ['--provider'], ['gateway', '--routerFile'], ['provider', '--ingressPolicy'], ['--docker']])
    assert.deepEqual((await completed(...words, '')).sort(), everything, words.join(' '))
  for (const words of [['scan'], ['new'], ['dht'], ['gateway', '--listen'], ['gateway', '--bootstrap']]) assert.deepEqual(await completed(...words, ''), [], words.join(' '))
  assert.deepEqual(await completed('provider', 'ser'), ['services.json'])
  assert.deepEqual(await completed('gateway', '--verbose', ''), ['true', 'false'])
  assert.deepEqual(await completed('gateway', '--verbose', '--met'), ['--metrics'])
  assert.deepEqual(await completed('gateway', '--json', '--met'), ['--metrics'])
  const formats = await completed('gateway', '--log', '')
  assert.deepEqual(await completed('gateway', '--log', '=', ''), formats)
  assert.deepEqual(await completed('gateway', '--log', '='), formats)
  for (const format of formats) assert.match((await run(binary, ['gateway', '--router', '00'.repeat(32), '--log', format, '--listen', 'nowhere'])).stderr, /--listen/)
  assert.equal(formats.length, 2)
})

const skip = process.getuid() === 0 ? false : 'needs root (a root folder of its own)'

// A shared object that ends the program as soon as it is loaded, without any library of its own.
async function trap (name) {
  mkdirSync(path.dirname(name), { recursive: true })
  writeFileSync(files.path('trap.c'), '__attribute__((constructor)) void trap(void) { __builtin_trap(); }\n')
  await output('gcc', '-shared', '-fPIC', '-nostdlib', '-o', name, files.path('trap.c'))
}

function write (name, text) {
  mkdirSync(path.dirname(name), { recursive: true })
  writeFileSync(name, text)
}

test('the static program carries a tunnel where there is nothing but it, whatever modules are configured there', { skip }, async (t) => {
  const [headers, section] = [await output('readelf', '-lW', path.join(made, 'hypergate')), await output('readelf', '-d', path.join(made, 'hypergate'))]
  assert.doesNotMatch(headers, /INTERP/)
  assert.doesNotMatch(section, /NEEDED/)
  assert.match(section, /Flags: NOW PIE/)  // at another address each time, its table of functions read-only

  const empty = files.path('empty')
  mkdirSync(empty)
  const inside = (...args) => ['chroot', [empty, '/hypergate', ...args]]
  const start = (name, env, ...args) => new Process(...inside(...args, '--log', 'json'), { name: `static ${name}`, env })
  copyFileSync(path.join(made, 'hypergate'), path.join(empty, 'hypergate'))
  chmodSync(path.join(empty, 'hypergate'), 0o755)
  assert.equal(await output('chroot', empty, '/hypergate', '--version'), await output(binary, '--version'))

  const web = await startWeb('static')
  t.after(() => web.stop())
  const [secret, gate, metrics] = [await newSecret(), await freePort(), await freePort()]
  const tunnel = async (what, serviceHost) => {
    const dht = start('dht', {}, 'dht', '--host', '127.0.0.1', '--port', '0')
    const [, bootstrap] = await dht.line(/listening on (127\.0\.0\.1:\d+)/)
    await dht.line(/"ready/)
    const services = JSON.stringify([service(gate, web.port, 'tcp', { serviceHost })])
    const provider = start('provider', { HYPERGATE_ROUTER: secret }, 'provider', services, '--bootstrap', bootstrap)
    const gateway = start('gateway', { HYPERGATE_ROUTER: secret }, 'gateway', '--bootstrap', bootstrap, '--metrics', `127.0.0.1:${metrics}`)
    await gateway.line(new RegExp(`127\\.0\\.0\\.1:${gate} open`))
    assert.equal((await get(gate)).toString(), 'static', what)
    assert.match((await get(metrics, '/metrics')).toString(), /^hypergate_gates 1$/m)
    for (const program of [gateway, provider, dht]) assert.equal(await program.stop(), 0, what)
  }
  await tunnel('nothing is there', '127.0.0.1')

  write(path.join(empty, 'etc/hosts'), '127.0.0.1 web.test\n')
  write(path.join(empty, 'etc/nsswitch.conf'), 'hosts: absent\n')
  await tunnel('modules that are not there', 'web.test')

  const libraries = path.dirname(await output('gcc', '-print-file-name=libc.a'))
  await trap(path.join(empty, path.normalize(libraries), 'libnss_trap.so.2'))
  write(path.join(empty, 'etc/nsswitch.conf'), 'hosts: trap\n')
  await tunnel('modules for another glibc', 'web.test')

  await trap(path.join(empty, 'trap.so'))
  write(path.join(empty, 'usr/lib/ssl/openssl.cnf'), 'openssl_conf = all\n[all]\nproviders = providers\n[providers]\ntrap = trap\n[trap]\nmodule = /trap.so\nactivate = 1\n')
  const { status, stderr } = await run(...inside('provider', `https://web.test:${gate}/services.json`, '--router', secret))
  assert.equal(status, 2, stderr)
  assert.match(stderr, /Connection refused/)
})
