// Follows a peer whose address changes without notice (a NAT that forgot its mapping): packets of the stream come from somewhere
// else while the known path stays silent.
//
//   packet from elsewhere ─ known path silent? ─▶ challenge to that place ─▶ answer from there ─▶ the known place is asked
//     ─ nothing from it in time ─▶ move
//
// Challenge and answer are sealed with the connection's keys (unordered messages), so a spoofed address gets nowhere: nobody but
// the peer can answer, and a copy of its packets sent from elsewhere does not silence the known path. Nor does a connection that is
// only idle go to somebody who hands on both (RFC 9000, 9.3.3): a known path that lives answers first. Of two ends that sent each
// other's way in the same moment, the one with the larger key waits longer, so that they meet.
//
// Pure state, time passed in. Owned by the connection.
#pragma once

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/endpoint.h"
#include "base/ids.h"
#include "base/rng.h"
#include "base/time.h"
#include "base/udp_socket.h"

namespace hg::noise {

/// Where a stream's packets go to, or came from.
struct PathPlace {
  UdpSocket* socket = nullptr;
  Endpoint remote{};
  bool operator==(const PathPlace&) const = default;
};

/// An unordered message about the path: tag ‖ kind ‖ token.
struct PathMessage {
  static constexpr ByteArray<8> kTag{'h', 'g', ' ', 'p', 'a', 't', 'h', 0};
  static constexpr size_t kSize = 8 + 1 + 16;
  enum class Kind : uint8_t { kChallenge = 1, kAnswer = 2 };

  Kind kind = Kind::kChallenge;
  ByteArray<16> token{};

  Bytes encode() const {
    Bytes out(kTag.begin(), kTag.end());
    out.push_back(static_cast<uint8_t>(kind));
    append_bytes(out, token);
    return out;
  }
  static std::optional<PathMessage> decode(ByteView in) {
    if (in.size() != kSize || !std::equal(kTag.begin(), kTag.end(), in.begin())) return std::nullopt;
    const uint8_t kind = in[kTag.size()];
    if (kind != 1 && kind != 2) return std::nullopt;
    PathMessage out{static_cast<Kind>(kind), {}};
    std::copy_n(in.begin() + kTag.size() + 1, out.token.size(), out.token.begin());
    return out;
  }
};

class PathFollower {
 public:
  static constexpr Duration kPatience = 200ms;  // silence of the known path; at least 2 round trips
  static constexpr Duration kLeaderPatience = 800ms;
  static constexpr Duration kBetweenChallenges = 200ms;
  static constexpr Duration kLastChance = 200ms;  // for an answer from the known path; at least 2 round trips
  static constexpr Duration kUnknownRtt = 333ms;  // RFC 9002, 6.2.2
  static constexpr int kQuestions = 3;            // in that time; one or two may get lost

  /// What is due: the known place is to be asked for a sign of life, or to be left for this one.
  struct Act {
    bool ask = false;
    std::optional<PathPlace> move;
  };

  /// `leads`: our key is the larger one.
  explicit PathFollower(bool leads) : patience_(leads ? kLeaderPatience : kPatience) {}

  void moved(TimePoint now) {
    heard_here(now);
    challenge_.reset();
  }
  void heard_here(TimePoint now) {
    heard_here_ = now;
    proof_.reset();
  }
  /// A packet came from `at`, which is not the known place. The challenge to send there, if it is time for one.
  std::optional<PathMessage> heard_elsewhere(const PathPlace& at, Duration rtt, TimePoint now, Rng& rng) {
    if (proof_ || !silent(rtt, now) || (challenge_ && now - challenge_->sent_at < kBetweenChallenges)) return std::nullopt;
    challenge_ = Challenge{at, rng.array<16>(), now};
    return PathMessage{PathMessage::Kind::kChallenge, challenge_->token};
  }
  /// True: what came from `at` was the peer's, and step() is due.
  bool on_answer(const PathMessage& answer, const PathPlace& at, Duration rtt, TimePoint now) {
    if (!challenge_ || challenge_->token != answer.token || !(challenge_->place == at)) return false;
    challenge_.reset();
    if (proof_ || !silent(rtt, now)) return false;
    proof_ = Proof{at, now};
    return true;
  }
  /// When step() is due; nullopt: there is nothing to decide.
  std::optional<TimePoint> next(Duration rtt) const {
    if (!proof_) return std::nullopt;
    return proof_->at + proof_->questions * last_chance(rtt) / kQuestions;
  }
  Act step(Duration rtt, TimePoint now) {
    const auto due = next(rtt);
    if (!due || now < *due) return {};
    if (proof_->questions++ < kQuestions) return {.ask = true, .move = {}};
    const PathPlace place = proof_->place;
    proof_.reset();
    return {.ask = false, .move = place};
  }

 private:
  struct Challenge {
    PathPlace place;
    ByteArray<16> token;
    TimePoint sent_at;
  };
  struct Proof {
    PathPlace place;
    TimePoint at;
    int questions = 0;
  };

  bool silent(Duration rtt, TimePoint now) const { return now - heard_here_ >= std::max<Duration>(patience_, 2 * rtt); }
  static Duration last_chance(Duration rtt) { return std::max<Duration>(kLastChance, 2 * (rtt == Duration::zero() ? kUnknownRtt : rtt)); }

  Duration patience_;
  TimePoint heard_here_{};
  std::optional<Challenge> challenge_;
  std::optional<Proof> proof_;
};

}  // namespace hg::noise
