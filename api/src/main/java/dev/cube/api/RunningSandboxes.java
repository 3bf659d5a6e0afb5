package dev.cube.api;

import dev.cube.master.SandboxInfo;
import dev.cube.master.SandboxQuery;
import dev.cube.master.Sandboxes;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** All running sandboxes, over all pages of their listing. */
final class RunningSandboxes {
    private static final int PAGE = 100;

    private RunningSandboxes() {}

    static List<SandboxInfo> list(Sandboxes sandboxes, Map<String, String> metadata) {
        var found = new ArrayList<SandboxInfo>();
        SandboxQuery query = SandboxQuery.of(metadata, Set.of(SandboxInfo.State.RUNNING));
        Optional<String> next = Optional.empty();
        do {
            Sandboxes.Page page = sandboxes.list(query, PAGE, next);
            found.addAll(page.sandboxes());
            next = page.nextToken();
        } while (next.isPresent());
        return found;
    }
}
