#include "examples/click_event.h"

#include <stdbool.h>

enum { MS_PER_DAY = 86400000 };

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back: Howard Hinnant, "chrono-compatible
 * low-level date algorithms". Years begin in March there, so that the leap day is a year's last day. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + (int64_t)day_of_era - 719468;
}

static void date_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    *ret_month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    *ret_year = (int64_t)year_of_era + era * 400 + (*ret_month <= 2);
}

static bool digits_read(const char *text, unsigned count, unsigned *ret_value)
{
    unsigned value = 0;
    for (unsigned i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *ret_value = value;
    return true;
}

static void digits_write(char *text, unsigned count, unsigned value)
{
    for (unsigned i = count; i-- > 0; value /= 10)
        text[i] = (char)('0' + value % 10);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

size_t click_date_format(int64_t timestamp_ms, char *buffer, size_t capacity)
{
    int64_t days = timestamp_ms / MS_PER_DAY;
    int64_t ms = timestamp_ms % MS_PER_DAY;
    if (ms < 0) {
        ms += MS_PER_DAY;
        days--;
    }
    int64_t year;
    unsigned month, day;
    date_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999 || capacity <= CLICK_DATE_LENGTH)
        return 0;

    unsigned of_day = (unsigned)ms;
    digits_write(buffer, 2, day);
    buffer[2] = '-';
    digits_write(buffer + 3, 2, month);
    buffer[5] = '-';
    digits_write(buffer + 6, 4, (unsigned)year);
    buffer[10] = ' ';
    digits_write(buffer + 11, 2, of_day / 3600000);
    buffer[13] = ':';
    digits_write(buffer + 14, 2, of_day / 60000 % 60);
    buffer[16] = ':';
    digits_write(buffer + 17, 2, of_day / 1000 % 60);
    buffer[19] = ':';
    digits_write(buffer + 20, 3, of_day % 1000);
    buffer[CLICK_DATE_LENGTH] = 0;
    return CLICK_DATE_LENGTH;
}

int click_date_parse(const char *text, size_t length, int64_t *ret_timestamp_ms)
{
    unsigned day, month, year, hour, minute, second, ms;
    if (length != CLICK_DATE_LENGTH || text[2] != '-' || text[5] != '-' || text[10] != ' ' ||
        text[13] != ':' || text[16] != ':' || text[19] != ':')
        return -1;
    if (!digits_read(text, 2, &day) || !digits_read(text + 3, 2, &month) ||
        !digits_read(text + 6, 4, &year) || !digits_read(text + 11, 2, &hour) ||
        !digits_read(text + 14, 2, &minute) || !digits_read(text + 17, 2, &second) ||
        !digits_read(text + 20, 3, &ms))
        return -1;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return -1;
    *ret_timestamp_ms = days_from_date(year, month, day) * MS_PER_DAY + (int64_t)hour * 3600000 +
                        (int64_t)minute * 60000 + (int64_t)second * 1000 + ms;
    return 0;
}
