// Interprets the values of other tools' arguments.
#pragma once

#include <optional>
#include <string>

#include "client/init/arguments.h"

namespace muster {

// Truth values and None in Python's spelling become those of YAML.
std::string ValueOf(const Argument& argument);

// "learning_rate: 1e-5".
std::string Quoted(const Argument& argument);

// The name under which a path or an id of the Hub is pushed or imported: its last part, with the characters allowed in
// names.
std::string NameFrom(const std::string& path, const std::string& otherwise);

std::optional<double> FiniteNumber(const std::string& text);

}  // namespace muster
