package dev.cube.cubelet;

import dev.cube.guest.GuestAgent;
import java.util.function.Consumer;

/** What is done in a freshly booted guest before it becomes a template. */
public interface GuestPreparation {
    /** Starts and exercises what should be warm in every sandbox of the template. */
    void warmUp(GuestAgent agent, Consumer<String> log);

    /** Whether a port answers: by the service that the host provides there, or by the guest's own. */
    boolean probe(GuestAgent agent, int port);
}
