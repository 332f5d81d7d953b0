// Run inside a home.   node page.mjs serve PORT        a web server on 127.0.0.1; prints "serving"
//                      node page.mjs fetch PORT        asks until the whole page has come; prints "page <ms since 1970>"
import http from 'node:http'

const SIZE = 24 * 1024 // "connected" proves nothing until more than a handful of packets has moved
const page = Buffer.alloc(SIZE, 'hypergate ')
const [verb, port] = process.argv.slice(2)

if (verb === 'serve') {
  http.createServer((request, response) => response.end(page)).listen(Number(port), '127.0.0.1', () => console.log('serving'))
} else {
  attempt()
}

function attempt () {
  const again = () => setTimeout(attempt, 15)
  const request = http.get({ host: '127.0.0.1', port: Number(port), agent: false, timeout: 20000 }, (response) => {
    const parts = []
    response.on('data', (part) => parts.push(part))
    response.on('error', () => {})
    response.on('close', () => {
      if (!Buffer.concat(parts).equals(page)) return again()
      console.log(`page ${Date.now()}`)
      process.exit(0)
    })
  })
  request.on('timeout', () => request.destroy(new Error('no answer')))
  request.on('error', again)
}
