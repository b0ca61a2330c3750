#pragma once
// Plans in words and as JSON.

#include <string>
#include <vector>

#include "train/plan_search.h"

namespace granule {

/// Cost, memory, traffic and time of one layout; `name` is that of the config.
std::string plan_as_text(const std::string& name, const Plan& plan);
std::string plan_as_json(const std::string& name, const Plan& plan);

struct NamedPlan {
  std::string name;
  Plan plan;
};

/// Side by side, a line each.
std::string comparison_as_text(const std::vector<NamedPlan>& plans);
std::string comparison_as_json(const std::vector<NamedPlan>& plans);

/// The layouts that fit, fastest first, and why the others do not.
std::string search_as_text(const PlanSearch& search);
std::string search_as_json(const PlanSearch& search);

}  // namespace granule
