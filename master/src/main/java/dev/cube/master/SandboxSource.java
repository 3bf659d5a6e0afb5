package dev.cube.master;

import dev.cube.cubelet.Sandbox;
import java.util.Map;

/** What a sandbox is made from, a template or a snapshot, with a hold on its template: the sandbox's, once it is made. */
interface SandboxSource {
    TemplateRow template();

    /** What its processes are given. */
    Map<String, String> environment();

    /** As {@link dev.cube.cubelet.Cubelet#create}. */
    Sandbox start(String id, Map<String, String> environment);
}
