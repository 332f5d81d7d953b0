// Real servers for the system tests, each on a free port of 127.0.0.1 with its files in a scratch folder.
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { Process, freePort, run, untilWorks, get } from './harness.mjs'

export async function startNginx (files) {
  const port = await freePort()
  const folder = files.path('nginx')
  mkdirSync(folder + '/www', { recursive: true })
  chmodSync(files.folder, 0o755)
  writeFileSync(folder + '/nginx.conf', `
    daemon off;
    ${process.getuid() === 0 ? 'user root;' : ''}
    worker_processes 1;
    pid ${folder}/nginx.pid;
    error_log stderr warn;
    events { worker_connections 4096; }
    http {
      access_log off;
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
      client_max_body_size 0;
      keepalive_requests 1000000;
      sendfile on;
      server {
        listen 127.0.0.1:${port} backlog=4096;
        root ${folder}/www;
        location /upload/ { dav_methods PUT; create_full_put_path on; }
      }
    }`)
  const server = new Process('nginx', ['-p', folder, '-c', folder + '/nginx.conf', '-e', 'stderr'])
  writeFileSync(folder + '/www/small.html', 'a small page\n')
  await untilWorks(() => get(port, '/small.html'))
  return { port, www: folder + '/www', stop: () => server.stop() }
}

export async function startRedis (files) {
  const port = await freePort()
  const server = new Process('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', files.folder])
  await server.line(/Ready to accept connections/)
  return { port, stop: () => server.stop() }
}

function postgresFolder () {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').sort() : []
  return `/usr/lib/postgresql/${versions.at(-1)}/bin`
}

export async function startPostgres (files) {
  const port = await freePort()
  const bin = postgresFolder()
  const data = files.path('postgres')
  // PostgreSQL refuses to run as root: the package's own user runs it there.
  const identity = {}
  mkdirSync(data)
  if (process.getuid() === 0) {
    identity.uid = Number((await run('id', ['-u', 'postgres'])).stdout)
    identity.gid = Number((await run('id', ['-g', 'postgres'])).stdout)
    chmodSync(files.folder, 0o755)
    chownSync(data, identity.uid, identity.gid)
  }
  const made = await run(bin + '/initdb', ['-D', data, '-U', 'tester', '-A', 'trust', '-E', 'UTF8', '--no-sync'], { ...identity, cwd: '/' })
  if (made.status !== 0) throw new Error(made.stderr)
  const server = new Process(bin + '/postgres', ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', '', '-F'], { ...identity, cwd: '/' })
  await server.line(/ready to accept connections/)
  return { port, bin, stop: () => server.stop('SIGINT') }
}
