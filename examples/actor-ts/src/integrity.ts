/** Of the copy of the script in this package, `@understudy/actor/staff-bar.js`. */
export const staffBarIntegrity = 'sha384-en1c1alE6BqCSavA0jZ7dvSMQZNuz+4wOdreiCw5I7k/mpqVN1Ht/VUERoLi3t+U';
