package dev.cube.envd.process;

import dev.cube.envd.rpc.process.ProcessEvent.EndEvent;

/** How the stream of a process's events comes to its end. */
sealed interface Outcome {
    record Ended(EndEvent event) implements Outcome {}

    /** Nothing more is to be known of it: the guest is gone. */
    record Lost(String reason) implements Outcome {}
}
