// A JavaScript swarm member in a process of its own, to be killed: node swarm_child.mjs <node_modules> <bootstrap> <topic>
import { createRequire } from 'node:module'
import path from 'node:path'

const [modules, bootstrap, topic] = process.argv.slice(2)
const require = createRequire(path.join(modules, 'index.js'))
const HyperDHT = require(path.join(modules, 'hyperdht'))
const Hyperswarm = require(path.join(modules, 'hyperswarm'))

const nodes = bootstrap.split(',').map((entry) => ({ host: entry.split(':')[0], port: Number(entry.split(':')[1]) }))
const swarm = new Hyperswarm({ dht: new HyperDHT({ bootstrap: nodes, host: '127.0.0.1' }) })
swarm.on('connection', (connection) => {
  connection.on('error', () => {})
  connection.on('data', (data) => connection.write(data))
})
swarm.join(Buffer.from(topic, 'hex'))
