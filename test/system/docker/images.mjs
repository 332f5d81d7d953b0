// The image of docker/Dockerfile, built as anyone builds it, by `docker build` of the whole file. There is no registry here: the debian:12 that
// it starts from is made by debootstrap, from the mirror that this system's own apt uses. An engine of its own does it (lab.mjs, Builder), whose
// layers stay in build/docker from run to run: what has not changed is not built again.
//
//   debootstrap ─▶ debian:12 ─▶ compiler and libraries ─▶ hypergate-static ─▶ the image, and others FROM debian:12
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { root, run } from '../harness.mjs'
import { Builder } from './lab.mjs'

const kept = path.join(root, 'build/docker')
const release = 'bookworm'

// No image can be built here, for want of something outside.
export class Unbuildable extends Error {}

// Where this system's apt gets Debian 12 from, and through which proxy.
async function mirror () {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages', 'Origin: Debian', `Codename: ${release}`, 'Component: main'])
  const site = stdout.split('\n').find((line) => /^https?:/.test(line))
  if (!site) throw new Unbuildable(`no image debian:12 can be made: the sources of apt name no mirror of Debian 12 (${release}), or its lists were never fetched`)
  const proxy = (await run('apt-config', ['shell', 'it', 'Acquire::http::Proxy/f'])).stdout.match(/^it='(.+)'$/m)?.[1] ?? process.env.http_proxy
  return { site, environment: proxy ? { http_proxy: proxy, https_proxy: process.env.https_proxy ?? proxy } : {} }
}

export class Images {
  // Starts the engine; `timed(what, seconds)` hears how long each part took.
  static async start (lab, timed) {
    const images = new Images()
    images.timed = timed
    images.folder = lab.folder
    images.mirror = await mirror()
    images.builder = new Builder(lab, path.join(kept, 'engine'))
    await images.builder.start()
    images.driver = await images.builder.docker('info', '-f', '{{.Driver}}')
    return images
  }

  async measure (what, work) {
    const start = performance.now()
    await work()
    this.timed(what, (performance.now() - start) / 1000)
  }

  docker (...args) {
    return run('docker', ['-H', `unix://${this.builder.socket}`, ...args], { timeout: 3600000, env: { ...process.env, DOCKER_BUILDKIT: '0' } })
  }

  async build (name, folder, ...options) {
    const outside = Object.entries(this.mirror.environment).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`])
    const { status, stdout, stderr } = await this.docker('build', '--network', 'host', '-t', name, ...outside, ...options, folder)
    const output = stdout + stderr
    if (status !== 0 && /Failed to fetch|Unable to fetch|Could not resolve|Could not connect/.test(output))
      throw new Unbuildable(`docker build of ${name}: Debian's packages cannot be fetched from ${this.mirror.site}: ${output.match(/^.*(?:Failed|Unable|Could not) .*$/m)[0]}`)
    assert.equal(status, 0, `docker build of ${name}: ${output.slice(-3000)}`)
  }

  async debian () {
    if ((await this.docker('images', '-q', 'debian:12')).stdout.trim() !== '') return
    const folder = path.join(kept, 'debian-12')
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(kept, { recursive: true })
    const more = this.mirror.site.startsWith('https:') ? ['--include=ca-certificates'] : []
    try {
      await this.measure(`debian:12 by debootstrap from ${this.mirror.site}`, async () => {
        const { status, stdout, stderr } = await run('debootstrap', ['--variant=minbase', ...more, release, folder, this.mirror.site],
          { timeout: 1800000, env: { ...process.env, ...this.mirror.environment } })
        if (status !== 0) throw new Unbuildable(`no image debian:12 can be made: debootstrap from ${this.mirror.site}: ${(stdout + stderr).trim().split('\n').slice(-3).join(' ')}`)
      })
      // As in the official image: no waiting for the disk after each package, no translations of the lists.
      writeFileSync(path.join(folder, 'etc/dpkg/dpkg.cfg.d/docker-apt-speedup'), 'force-unsafe-io\n')
      writeFileSync(path.join(folder, 'etc/apt/apt.conf.d/docker-no-languages'), 'Acquire::Languages "none";\n')
      rmSync(path.join(folder, 'var/cache/apt/archives'), { recursive: true, force: true })
      await this.measure('debian:12 imported', async () => {
        const { status, stderr } = await run('sh', ['-c', 'tar -C "$1" -c . | docker -H "$2" import - debian:12', 'sh', folder, `unix://${this.builder.socket}`], { timeout: 600000 })
        assert.equal(status, 0, stderr)
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  // The image of docker/Dockerfile as hypergate:plain; and as hypergate with the environment given, which the manual's commands do not set.
  // Its stages are built one by one only to see how long each takes.
  async hypergate (environment) {
    await this.debian()
    const file = ['-f', path.join(root, 'docker/Dockerfile')]
    await this.measure('docker build: compiler and libraries', () => this.build('hypergate-tools', root, ...file, '--target', 'tools'))
    await this.measure('docker build: hypergate-static', () => this.build('hypergate-build', root, ...file, '--target', 'build'))
    await this.measure('docker build: the image', () => this.build('hypergate:plain', root, ...file))
    const own = path.join(this.folder, 'own')
    mkdirSync(own)
    const lines = Object.entries(environment).map(([name, value]) => `ENV ${name}=${value}\n`)
    writeFileSync(own + '/Dockerfile', `FROM hypergate:plain\n${lines.join('')}`)
    await this.build('hypergate', own)
    await this.docker('image', 'prune', '-f')  // earlier builds
  }

  // Another image FROM debian:12.
  async other (name, folder) {
    await this.measure(`docker build: ${name}`, () => this.build(name, folder))
  }

  stop () { return this.builder.stop() }
}
