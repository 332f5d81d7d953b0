// What people and peers write as JSON: advertisements, service files, filters, policies. What was accepted survives a round trip.
#include <cstdlib>

#include "tunnel/gate_filter.h"
#include "tunnel/ingress_policy.h"
#include "tunnel/route_table.h"
#include "tunnel/routes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hg;
  using namespace hg::tunnel;
  const std::string_view text = as_text({data, size});

  if (const auto advertisement = decode_advertisement(text)) {
    const std::string encoded = encode_advertisement(advertisement->routes, advertisement->features);
    const auto again = decode_advertisement(encoded);
    if (!again || again->routes.size() != advertisement->routes.size() || !(again->features == advertisement->features)) std::abort();
    RouteTable table({}, 2min);
    table.update({}, *advertisement, TimePoint{1h});
    for (const Gate& gate : table.gates()) {
      if (!table.pick(gate.key, TimePoint{1h}, {})) std::abort();
    }
    table.remove_provider({});
    if (table.size() != 0 || !table.gates().empty()) std::abort();
  }
  if (const auto services = parse_services(text, "services")) {
    const auto again = decode_advertisement(encode_advertisement(*services, {}));
    if (!again || again->routes.size() != services->size()) std::abort();
  }
  if (const auto matches = parse_gate_matches(text, "filter")) {
    GateFilter filter;
    filter.any_of = *matches;
    filter.passes({});
  }
  if (const auto policy = IngressPolicy::parse(text, "policy")) {
    for (const char* ip : {"127.0.0.1", "::ffff:10.0.0.1", "2001:db8::1%eth0", "", "x"})
      policy->match(ip, 80, Protocol::kTcp, 1'700'000'000'000);
    const std::vector<std::string> twice(2, std::string(text));
    const auto merged = merge_ingress_policies(twice);
    if (!merged || !IngressPolicy::parse(*merged, "merged")) std::abort();
  }
  return 0;
}
