package dev.cube.hypervisor;

import com.fasterxml.jackson.databind.JsonNode;

/** An event that QEMU reported over QMP, with the names and data of its QMP reference. */
record QmpEvent(String name, JsonNode data) {}
