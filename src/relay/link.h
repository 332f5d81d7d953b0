// A link joins one local socket to one channel. LinkSet owns links and lets them go safely from inside their own callbacks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "io/loop.h"
#include "tunnel/service_flow.h"

namespace hg::relay {

class Link {
 public:
  virtual ~Link() { flow_ended(); }
  TimePoint last_activity() const { return last_activity_; }

 protected:
  void touch(TimePoint now) {
    last_activity_ = now;
    if (flow_ != nullptr) flow_->last_traffic = now;
  }
  /// Kept up to date from now on.
  void follow(std::shared_ptr<tunnel::ServiceFlow> flow) { flow_ = std::move(flow); }
  void flow_ended() {
    if (flow_ != nullptr) flow_->open = false;
  }

 private:
  TimePoint last_activity_{};
  std::shared_ptr<tunnel::ServiceFlow> flow_;
};

class LinkSet {
 public:
  explicit LinkSet(io::Loop& loop) : loop_(loop) {}
  ~LinkSet() { *alive_ = false; }

  template <class T>
  T& add(std::unique_ptr<T> link) {
    T& added = *link;
    links_.emplace(&added, std::move(link));
    return added;
  }
  /// The link is destroyed in the next task.
  void release(Link& link);
  /// `visit` may release links.
  template <class Visit>
  void for_each(Visit&& visit) {
    std::vector<Link*> all;
    for (const auto& [key, link] : links_) all.push_back(key);
    for (Link* link : all) visit(*link);
  }
  /// Calls `expire` with every link without traffic since `idle_since`.
  template <class Expire>
  void sweep(TimePoint idle_since, Expire&& expire) {
    std::vector<Link*> idle;
    for (const auto& [key, link] : links_) {
      if (link->last_activity() <= idle_since) idle.push_back(key);
    }
    for (Link* link : idle) expire(*link);
  }
  /// Calls `expire` with the longest idle ones, a sixteenth of all (so that looking for them costs little each) and at least one, but not
  /// with `asker`. False: there is no other.
  template <class Expire>
  bool make_room(const Link& asker, Expire&& expire) {
    std::vector<Link*> others;
    others.reserve(links_.size());
    for (const auto& [key, link] : links_) {
      if (key != &asker) others.push_back(key);
    }
    if (others.empty()) return false;
    const size_t count = (others.size() + 15) / 16;
    const auto end = others.begin() + static_cast<std::ptrdiff_t>(count);
    std::nth_element(others.begin(), end - 1, others.end(),
                     [](const Link* a, const Link* b) { return a->last_activity() < b->last_activity(); });
    std::for_each(others.begin(), end, [&](Link* link) { expire(*link); });
    return true;
  }
  size_t size() const { return links_.size(); }

 private:
  io::Loop& loop_;
  std::unordered_map<Link*, std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Link>> released_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::relay
