#include "relay/link.h"

namespace hg::relay {

void LinkSet::release(Link& link) {
  const auto found = links_.find(&link);
  if (found == links_.end()) return;
  released_.push_back(std::move(found->second));
  links_.erase(found);
  if (released_.size() > 1) return;
  loop_.post([this, alive = alive_] {
    if (*alive) std::vector<std::unique_ptr<Link>>().swap(released_);
  });
}

}  // namespace hg::relay
