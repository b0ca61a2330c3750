#include "app/option_checks.h"

#include <cmath>
#include <functional>

#include "base/check.h"

namespace granule {

namespace {

CLI::Validator checked_by(const std::function<bool(double)>& accepts, const std::string& range) {
  return {[=](const std::string& text) -> std::string {
            double value = 0;
            // What is no number at all is refused by the option's own type, with its name.
            if (!CLI::detail::lexical_cast(text, value)) return "";
            return std::isfinite(value) && accepts(value) ? "" : text + ": must be " + range;
          },
          ""};
}

}  // namespace

CLI::Validator at_least(double least) {
  return checked_by([least](double value) { return value >= least; }, join_text("at least ", least));
}

CLI::Validator above_zero() {
  return checked_by([](double value) { return value > 0; }, "above 0");
}

}  // namespace granule
