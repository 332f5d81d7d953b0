// A web service for the manual's examples, run inside a network namespace: node web.mjs PORT.
//   /bytes/N   N bytes          /tuple   its connection as it sees it          else a page that says which process served it
import http from 'node:http'

http.createServer((request, response) => {
  const bytes = request.url.match(/^\/bytes\/(\d+)$/)
  const { remoteAddress, remotePort, localAddress, localPort } = request.socket
  if (bytes) response.end(Buffer.alloc(Number(bytes[1]), 7))
  else if (request.url === '/tuple') response.end(JSON.stringify({ remoteAddress, remotePort, localAddress, localPort }))
  else response.end(`a page of process ${process.pid}\n`)
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('serving'))
