-- How sandboxes are connected, as JSON; it has what allow_internet_access said.

ALTER TABLE sandboxes ADD COLUMN network TEXT NOT NULL DEFAULT '{}';
UPDATE sandboxes SET network = '{"internetAccess":false}' WHERE NOT allow_internet_access;
ALTER TABLE sandboxes DROP COLUMN allow_internet_access;
