CREATE TABLE "registration_keys" (
	"key_mac" text PRIMARY KEY NOT NULL,
	"request_mac" text NOT NULL,
	"session_id" uuid NOT NULL,
	"retry_count" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "registration_keys_retry_count_positive" CHECK ("registration_keys"."retry_count" >= 0)
);
--> statement-breakpoint
CREATE TABLE "imported_users" (
	"former_id" text PRIMARY KEY NOT NULL,
	"user_id" bigint NOT NULL,
	"imported_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "reserved_user_ids" (
	"first_id" bigint PRIMARY KEY NOT NULL,
	"last_id" bigint NOT NULL,
	"reserved_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "reserved_user_ids_in_order" CHECK ("reserved_user_ids"."first_id" >= 1 and "reserved_user_ids"."last_id" >= "reserved_user_ids"."first_id")
);
--> statement-breakpoint
CREATE INDEX "registration_keys_created_at_index" ON "registration_keys" USING btree ("created_at");