import GRDB

/// The forms that the database has had. One that was released is never changed: another one follows it.
enum RecordMigrations {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: services, tokens, audit, versions") { database in
            try database.execute(sql: first)
        }
        migrator.registerMigration("2: access lists") { database in try database.execute(sql: accessLists) }
        migrator.registerMigration("3: tokens from a tenant's own customers, reasons in the audit") { database in
            try database.execute(sql: management)
        }
        return migrator
    }

    private static let first = """
        CREATE TABLE settings (
            name TEXT NOT NULL PRIMARY KEY,
            value INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE tenants (
            name TEXT NOT NULL PRIMARY KEY,
            created INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE tokens (
            id TEXT NOT NULL PRIMARY KEY,
            tenant TEXT NOT NULL REFERENCES tenants (name),
            salt BLOB NOT NULL,
            hash BLOB NOT NULL,
            read_only INTEGER NOT NULL,
            created INTEGER NOT NULL,
            expires INTEGER,
            revoked INTEGER
        ) STRICT;
        CREATE INDEX tokens_of_tenant ON tokens (tenant);

        -- The versions of what tenants want: one for each instruction. What failed leaves its number unused.
        CREATE TABLE versions (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            made INTEGER NOT NULL,
            -- written, in-force or failed
            state TEXT NOT NULL,
            -- The generation of the engines' table.
            generation INTEGER
        ) STRICT;

        CREATE TABLE services (
            tenant TEXT NOT NULL REFERENCES tenants (name),
            name TEXT NOT NULL,
            body TEXT NOT NULL,
            created INTEGER NOT NULL REFERENCES versions (number),
            version INTEGER NOT NULL REFERENCES versions (number),
            PRIMARY KEY (tenant, name)
        ) STRICT;

        CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            tenant TEXT NOT NULL,
            who TEXT NOT NULL,
            origin TEXT NOT NULL,
            at INTEGER NOT NULL,
            instruction TEXT NOT NULL,
            subject TEXT NOT NULL,
            outcome TEXT NOT NULL,
            version INTEGER,
            generation INTEGER,
            before TEXT,
            after TEXT
        ) STRICT;
        CREATE INDEX audit_of_tenant ON audit (tenant, id);
        CREATE INDEX audit_of_version ON audit (version);
        CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END;
        CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is never shortened'); END;

        -- Requests that are done once, however often they come.
        CREATE TABLE repeats (
            tenant TEXT NOT NULL,
            key TEXT NOT NULL,
            request BLOB NOT NULL,
            version INTEGER NOT NULL REFERENCES versions (number),
            answer TEXT NOT NULL,
            at INTEGER NOT NULL,
            PRIMARY KEY (tenant, key)
        ) STRICT;
        """

    private static let accessLists = """
        CREATE TABLE access_lists (
            tenant TEXT NOT NULL REFERENCES tenants (name),
            application TEXT NOT NULL,
            -- What happens to packets that match no rule, as JSON.
            otherwise TEXT NOT NULL,
            created INTEGER NOT NULL REFERENCES versions (number),
            version INTEGER NOT NULL REFERENCES versions (number),
            PRIMARY KEY (tenant, application)
        ) STRICT;

        CREATE TABLE access_rules (
            tenant TEXT NOT NULL,
            application TEXT NOT NULL,
            place INTEGER NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (tenant, application, place),
            FOREIGN KEY (tenant, application) REFERENCES access_lists (tenant, application) ON DELETE CASCADE
        ) STRICT;
        """

    private static let management = """
        ALTER TABLE tokens ADD COLUMN own INTEGER NOT NULL DEFAULT 0;
        -- Why something was refused.
        ALTER TABLE audit ADD COLUMN reason TEXT;
        """
}
