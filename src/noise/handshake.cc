#include "noise/handshake.h"

#include <algorithm>

namespace hg::noise {
namespace {

constexpr std::string_view kProtocolName = "Noise_IK_Ed25519_ChaChaPoly_BLAKE2b";
constexpr size_t kKeySize = 32;

}  // namespace

SymmetricState::SymmetricState(std::string_view protocol_name) {
  assert(protocol_name.size() <= hash_.size());
  std::copy(protocol_name.begin(), protocol_name.end(), hash_.begin());
  chaining_key_ = hash_;
}

SymmetricState::~SymmetricState() {
  crypto::wipe(key_);
  crypto::wipe(chaining_key_);
}

void SymmetricState::mix_hash(ByteView data) { hash_ = crypto::blake2b_512({hash_, data}); }

void SymmetricState::mix_key(ByteView input) {
  const crypto::HkdfPair keys = crypto::hkdf_blake2b_512(chaining_key_, input);
  chaining_key_ = keys.first;
  std::copy_n(keys.second.begin(), key_.size(), key_.begin());
  nonce_ = 0;
  has_key_ = true;
}

ByteArray<12> SymmetricState::next_nonce() {
  ByteArray<12> nonce{};
  const uint32_t counter = nonce_++;
  for (size_t i = 0; i < 4; ++i) nonce[4 + i] = static_cast<uint8_t>(counter >> (8 * i));
  return nonce;
}

void SymmetricState::encrypt_and_hash(ByteView plain, Bytes& out) {
  const size_t begin = out.size();
  out.resize(begin + plain.size() + overhead());
  const MutableBytes cipher = MutableBytes(out).subspan(begin);
  if (has_key_) {
    crypto::aead_encrypt(cipher, plain, hash_, next_nonce(), key_);
  } else {
    std::copy(plain.begin(), plain.end(), cipher.begin());
  }
  mix_hash(cipher);
}

std::optional<Bytes> SymmetricState::decrypt_and_hash(ByteView cipher) {
  if (cipher.size() < overhead()) return std::nullopt;
  Bytes plain(cipher.size() - overhead());
  if (!has_key_) {
    plain.assign(cipher.begin(), cipher.end());
  } else if (!crypto::aead_decrypt(plain, cipher, hash_, next_nonce(), key_)) {
    return std::nullopt;
  }
  mix_hash(cipher);
  return plain;
}

crypto::HkdfPair SymmetricState::split() const { return crypto::hkdf_blake2b_512(chaining_key_, {}); }

IkHandshake IkHandshake::initiator(const KeyPair& local, const PublicKey& remote, ByteView prologue, Rng& rng) {
  return IkHandshake(true, local, remote, prologue, rng);
}

IkHandshake IkHandshake::responder(const KeyPair& local, ByteView prologue, Rng& rng) {
  return IkHandshake(false, local, PublicKey{}, prologue, rng);
}

IkHandshake::IkHandshake(bool initiator, const KeyPair& local, const PublicKey& remote, ByteView prologue, Rng& rng)
    : initiator_(initiator), state_(kProtocolName), static_(local), ephemeral_(crypto::random_key_pair(rng)), remote_static_(remote) {
  state_.mix_hash(prologue);
  state_.mix_hash(initiator_ ? remote_static_ : static_.public_key);
}

IkHandshake::~IkHandshake() {
  crypto::wipe(static_.secret_key);
  crypto::wipe(ephemeral_.secret_key);
}

Expected<Bytes> IkHandshake::write_message(ByteView payload) {
  if (initiator_ && step_ == Step::kMessage1) return write_first(payload);
  if (!initiator_ && step_ == Step::kMessage2) return write_second(payload);
  return fail("not this side's turn to send");
}

Expected<Bytes> IkHandshake::read_message(ByteView message) {
  if (!initiator_ && step_ == Step::kMessage1) return read_first(message);
  if (initiator_ && step_ == Step::kMessage2) return read_second(message);
  return fail("not this side's turn to receive");
}

Expected<Bytes> IkHandshake::write_first(ByteView payload) {
  Bytes out;
  append_bytes(out, ephemeral_.public_key);
  state_.mix_hash(ephemeral_.public_key);
  if (!mix_dh(ephemeral_.secret_key, remote_static_)) return fail("the remote key is not a usable point");
  state_.encrypt_and_hash(static_.public_key, out);
  if (!mix_dh(static_.secret_key, remote_static_)) return fail("the remote key is not a usable point");
  state_.encrypt_and_hash(payload, out);
  step_ = Step::kMessage2;
  return out;
}

Expected<Bytes> IkHandshake::read_first(ByteView message) {
  constexpr size_t kSealedKey = kKeySize + SymmetricState::kMac;
  if (message.size() < kKeySize + kSealedKey + SymmetricState::kMac) return fail("message 1 is too short");
  std::copy_n(message.begin(), kKeySize, remote_ephemeral_.begin());
  state_.mix_hash(remote_ephemeral_);
  if (!mix_dh(static_.secret_key, remote_ephemeral_)) return fail("the ephemeral key is not a usable point");
  const auto remote = state_.decrypt_and_hash(message.subspan(kKeySize, kSealedKey));
  if (!remote) return fail("message 1 is forged");
  std::copy(remote->begin(), remote->end(), remote_static_.begin());
  if (!mix_dh(static_.secret_key, remote_static_)) return fail("the remote key is not a usable point");
  auto payload = state_.decrypt_and_hash(message.subspan(kKeySize + kSealedKey));
  if (!payload) return fail("message 1 is forged");
  step_ = Step::kMessage2;
  return std::move(*payload);
}

Expected<Bytes> IkHandshake::write_second(ByteView payload) {
  Bytes out;
  append_bytes(out, ephemeral_.public_key);
  state_.mix_hash(ephemeral_.public_key);
  if (!mix_dh(ephemeral_.secret_key, remote_ephemeral_)) return fail("the ephemeral key is not a usable point");
  if (!mix_dh(ephemeral_.secret_key, remote_static_)) return fail("the remote key is not a usable point");
  state_.encrypt_and_hash(payload, out);
  step_ = Step::kDone;
  return out;
}

Expected<Bytes> IkHandshake::read_second(ByteView message) {
  if (message.size() < kKeySize + SymmetricState::kMac) return fail("message 2 is too short");
  std::copy_n(message.begin(), kKeySize, remote_ephemeral_.begin());
  state_.mix_hash(remote_ephemeral_);
  if (!mix_dh(ephemeral_.secret_key, remote_ephemeral_)) return fail("the ephemeral key is not a usable point");
  if (!mix_dh(static_.secret_key, remote_ephemeral_)) return fail("the ephemeral key is not a usable point");
  auto payload = state_.decrypt_and_hash(message.subspan(kKeySize));
  if (!payload) return fail("message 2 is forged");
  step_ = Step::kDone;
  return std::move(*payload);
}

bool IkHandshake::mix_dh(const SecretKey& local, const PublicKey& remote) {
  auto shared = crypto::ed25519_dh(local, remote);
  if (!shared) return false;
  state_.mix_key(*shared);
  crypto::wipe(*shared);
  return true;
}

Error IkHandshake::fail(const char* why) {
  step_ = Step::kFailed;
  return {"HANDSHAKE_INVALID", why};
}

Expected<SessionKeys> IkHandshake::session() const {
  if (!complete()) return Error{"HANDSHAKE_UNFINISHED", "the handshake is not finished"};
  const crypto::HkdfPair keys = state_.split();
  SessionKeys session;
  session.is_initiator = initiator_;
  std::copy_n((initiator_ ? keys.first : keys.second).begin(), session.tx.size(), session.tx.begin());
  std::copy_n((initiator_ ? keys.second : keys.first).begin(), session.rx.size(), session.rx.begin());
  session.handshake_hash = state_.hash();
  session.remote_key = remote_static_;
  session.local_key = static_.public_key;
  return session;
}

}  // namespace hg::noise
