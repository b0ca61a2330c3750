#pragma once
// An analysis of experts for people and for programs.

#include <string>

#include "train/expert_analysis.h"

namespace granule {

/// Tables.
std::string analysis_as_text(const TrainedModel& trained, const ExpertAnalysis& analysis);
/// All of it, one object; scripts/analysis_report.py draws it.
std::string analysis_as_json(const TrainedModel& trained, const ExpertAnalysis& analysis);

}  // namespace granule
