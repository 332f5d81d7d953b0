// Noise IK as hyperdht speaks it: Noise_IK_Ed25519_ChaChaPoly_BLAKE2b, Ed25519 keys throughout.
//
//   initiator                                  responder
//   write_message(payload1) ── e, es, s, ss ─▶ read_message() → payload1, remote_key()
//   read_message() → payload2 ◀── e, ee, se ── write_message(payload2)
//   session()                                  session()
//
// One object per handshake, owned by whoever runs it; any error ends it (later calls fail too). Noise
// specification revision 34; DH, hash and name as in npm noise-handshake 4.2 and noise-curve-ed 2.1.
#pragma once

#include <optional>

#include "base/expected.h"
#include "base/rng.h"
#include "noise/keys.h"

namespace hg::noise {

/// CipherState and SymmetricState of the Noise specification (5.1, 5.2).
class SymmetricState {
 public:
  explicit SymmetricState(std::string_view protocol_name);
  ~SymmetricState();

  void mix_hash(ByteView data);
  void mix_key(ByteView input);
  /// Appends the encryption (or the plain bytes while there is no key) to `out`.
  void encrypt_and_hash(ByteView plain, Bytes& out);
  /// nullopt on a forgery.
  std::optional<Bytes> decrypt_and_hash(ByteView cipher);
  crypto::HkdfPair split() const;

  const Hash64& hash() const { return hash_; }
  const Hash64& chaining_key() const { return chaining_key_; }
  /// Bytes that encryption adds now: 0 or 16.
  size_t overhead() const { return has_key_ ? kMac : 0; }
  static constexpr size_t kMac = 16;

 private:
  ByteArray<12> next_nonce();

  Hash64 hash_{};
  Hash64 chaining_key_{};
  ByteArray<32> key_{};
  uint32_t nonce_ = 0;
  bool has_key_ = false;
};

class IkHandshake {
 public:
  /// `prologue` is hyperdht's namespace of PEER_HANDSHAKE. The ephemeral key comes from `rng`.
  static IkHandshake initiator(const KeyPair& local, const PublicKey& remote, ByteView prologue, Rng& rng);
  static IkHandshake responder(const KeyPair& local, ByteView prologue, Rng& rng);
  ~IkHandshake();
  IkHandshake(const IkHandshake&) = default;
  IkHandshake& operator=(const IkHandshake&) = default;

  /// HANDSHAKE_INVALID when it is not this side's turn or a key is not usable.
  Expected<Bytes> write_message(ByteView payload);
  /// The decrypted payload; HANDSHAKE_INVALID on a forgery, a wrong length or a bad key.
  Expected<Bytes> read_message(ByteView message);

  bool complete() const { return step_ == Step::kDone; }
  /// Responder: known after message 1.
  const PublicKey& remote_key() const { return remote_static_; }
  /// HANDSHAKE_UNFINISHED before complete().
  Expected<SessionKeys> session() const;
  const SymmetricState& state() const { return state_; }

 private:
  enum class Step { kMessage1, kMessage2, kDone, kFailed };

  IkHandshake(bool initiator, const KeyPair& local, const PublicKey& remote, ByteView prologue, Rng& rng);
  bool mix_dh(const SecretKey& local, const PublicKey& remote);
  Error fail(const char* why);
  Expected<Bytes> write_first(ByteView payload);
  Expected<Bytes> read_first(ByteView message);
  Expected<Bytes> write_second(ByteView payload);
  Expected<Bytes> read_second(ByteView message);

  bool initiator_;
  Step step_ = Step::kMessage1;
  SymmetricState state_;
  KeyPair static_;
  KeyPair ephemeral_;
  PublicKey remote_static_;
  PublicKey remote_ephemeral_{};
};

}  // namespace hg::noise
