// Who may speak: the proof of knowing the router secret.
export class Router {
  constructor (hex, DHT, sodium) {
    this.sodium = sodium
    this.keys = DHT.keyPair(Buffer.from(hex, 'hex'))
    const salt = Buffer.alloc(16)
    sodium.crypto_generichash(salt, this.keys.secretKey)
    this.authKey = Buffer.alloc(64)
    sodium.crypto_pwhash(this.authKey, this.keys.secretKey, salt, sodium.crypto_pwhash_OPSLIMIT_INTERACTIVE,
      sodium.crypto_pwhash_MEMLIMIT_INTERACTIVE, sodium.crypto_pwhash_ALG_DEFAULT)
  }

  auth (sender, receiver, ms) {
    const stamp = Buffer.alloc(9)
    stamp[0] = 0x15
    stamp.writeBigInt64BE(BigInt(ms), 1)
    const mac = Buffer.alloc(64)
    this.sodium.crypto_generichash_batch(mac, [sender, receiver, this.keys.publicKey, stamp], this.authKey)
    return Buffer.concat([stamp, mac])
  }

  verify (auth, sender, receiver) {
    if (auth.length !== 73 || auth[0] !== 0x15) return false
    const ms = Number(auth.readBigInt64BE(1))
    if (ms === 0 || Date.now() - ms > 900000) return false
    return this.sodium.sodium_memcmp(auth, this.auth(sender, receiver, ms))
  }
}
